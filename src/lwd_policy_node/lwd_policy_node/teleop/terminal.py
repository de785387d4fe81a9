"""A terminal that is read key by key, without waiting and without echo."""

from __future__ import annotations

import atexit
import os
import select
import termios
import tty

from lwd_policy_node.teleop.source import SourceError


class Terminal:
    """One terminal in cbreak mode: Ctrl-C still interrupts. It is as it was when the process ends."""

    def __init__(self, descriptor: int) -> None:
        """Take over the terminal behind `descriptor`.

        Raises:
            SourceError: it is not a terminal.
        """
        if not os.isatty(descriptor):
            raise SourceError(
                'source keyboard reads the terminal it was started in, and this is none (a launch file?): run '
                '`ros2 run lwd_policy_node teleop_node` in a terminal of its own'
            )
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)
        self.closed = False
        """The terminal has gone."""
        tty.setcbreak(descriptor, termios.TCSANOW)
        atexit.register(self.restore)

    def read(self) -> str:
        """What was typed since the last call."""
        typed = b''
        while not self.closed and select.select([self._descriptor], [], [], 0.0)[0]:
            try:
                piece = os.read(self._descriptor, 1024)
            except OSError:
                piece = b''
            self.closed = not piece
            typed += piece
        return typed.decode('ascii', errors='ignore')

    def restore(self) -> None:
        """Give the terminal back as it was."""
        atexit.unregister(self.restore)
        if not self.closed:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
