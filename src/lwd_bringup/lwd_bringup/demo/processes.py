"""Start commands in process groups of their own, log them, and leave none of them running."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

MARK = 'LWD_DEMO_RUN'  # in the environment of everything the demo starts
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# SIGINT to SIGTERM, then to SIGKILL: `ros2 launch` may itself take 15 s to end what it started.
GRACE_S = 17.0


class Process:
    """One command: its own process group, stdout and stderr in one log file."""

    def __init__(
        self, name: str, command: list[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it at once."""
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
                preexec_fn=_die_with_parent,
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


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


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
