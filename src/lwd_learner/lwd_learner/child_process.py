"""Child processes: each in a group of its own with a log, ended with its parent, and none of them left running.

The demo, the soak and evaluation through ROS start theirs as `Process`; training's workers, which are to print where
their leader prints, are only bound to it by `end_with_parent`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

MARK = 'LWD_RUN'  # in the environment of everything that a run starts, however deep below it
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# SIGINT to SIGTERM, then to SIGKILL: `ros2 launch` may itself take 15 s to end what it started.
GRACE_S = 17.0


class Process:
    """One command: its own process group, stdout and stderr in one log file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        orphaned: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start it at once.

        Args:
            name: what messages call it.
            command: words of the command.
            log: file that its output is added to.
            environment: all of its environment.
            orphaned: what it is sent if this process dies; SIGINT for `ros2 launch`, which by SIGTERM may leave nodes.
        """
        self.name = name
        self.log = log
        with log.open('ab') as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=end_with_parent(orphaned),
            )

    @property
    def pid(self) -> int:
        """Process id, also the group's."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the leader; it passes the signal on to its own children."""
        if self.poll() is None:
            self._popen.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end; None when it is still running afterwards."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int | None:
        """SIGINT, then SIGTERM, then SIGKILL to the whole group; return the exit code."""
        self.send(signal.SIGINT)
        if self.wait(GRACE_S) is None:
            self.send(signal.SIGTERM)
            self.wait(GRACE_S)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return self.poll()
        return self.wait(GRACE_S)

    def last_lines(self, count: int = 15) -> str:
        """End of the log, for an error message."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-count:])


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a child runs before its command (`preexec_fn`), to be sent a signal when its parent dies, even by SIGKILL.

    The kernel takes the thread that started the child for its parent: start it in the main one.
    """
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before it was asked for
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def marked_processes(mark: str) -> list[int]:
    """Ids of all processes whose environment carries `mark` or a mark that begins with it, this one left out."""
    found = []
    needle = f'{MARK}={mark}'.encode()
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / 'environ').read_bytes().split(b'\0')
        except OSError:
            continue  # ended meanwhile, or another user's
        if any(variable.startswith(needle) for variable in variables):
            found.append(int(entry.name))
    return found


def end_marked(mark: str, grace_s: float = 5.0) -> list[int]:
    """End every process that carries the mark: SIGTERM, then SIGKILL; return the ids that had to be ended."""
    left = marked_processes(mark)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in marked_processes(mark):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and marked_processes(mark):
            time.sleep(0.05)
    return left
