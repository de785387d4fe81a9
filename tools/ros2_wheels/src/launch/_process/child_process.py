"""A child process that leads its own group, with its output read line by line."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable, Mapping
from subprocess import PIPE
from typing import Any

from launch._process.output_reader import OutputReader
from launch._process.process_group import ProcessGroup

OnOutput = Callable[[bytes], None]


class ChildProcess:
    """A started child."""

    def __init__(
        self, process: asyncio.subprocess.Process, readers: tuple[OutputReader, ...]
    ) -> None:
        self._process = process
        self._readers = readers
        self.pid = process.pid
        self.group = ProcessGroup(process.pid)

    @classmethod
    async def start(
        cls,
        cmd: list[str],
        *,
        cwd: str | None,
        env: Mapping[str, str] | None,
        shell: bool,
        emulate_tty: bool,
        on_stdout: OnOutput,
        on_stderr: OnOutput,
    ) -> ChildProcess:
        """Start a child.

        Raises:
            OSError: The command or the working directory is not there, or may not be used.
        """
        loop = asyncio.get_running_loop()
        channels = [_channel(emulate_tty), _channel(emulate_tty)]
        options: dict[str, Any] = {
            'cwd': cwd,
            'env': env,
            'stdin': PIPE,
            'stdout': channels[0][1],
            'stderr': channels[1][1],
            'process_group': 0,  # signals reach the child's children too
        }
        try:
            if shell:
                process = await asyncio.create_subprocess_shell(' '.join(cmd), **options)
            else:
                process = await asyncio.create_subprocess_exec(*cmd, **options)
        except OSError:
            for read_end, _ in channels:
                os.close(read_end)
            raise
        finally:
            for _, write_end in channels:
                os.close(write_end)
        readers = tuple(
            OutputReader(loop, read_end, on_data)
            for (read_end, _), on_data in zip(channels, (on_stdout, on_stderr), strict=True)
        )
        return cls(process, readers)

    async def wait(self) -> int:
        """Wait for the end; all output that was written by then has been passed on.

        Returns:
            The exit code; minus the signal number if a signal ended the child.
        """
        returncode = await self._process.wait()
        for reader in self._readers:
            reader.drain()
        return returncode

    def close(self) -> None:
        """Stop reading output (children of the child may still hold the other end)."""
        for reader in self._readers:
            reader.drain()
            reader.close()


def _channel(emulate_tty: bool) -> tuple[int, int]:
    """Return (read end, write end) of a pipe, or of a pseudo-terminal."""
    if not emulate_tty:
        return os.pipe()
    read_end, write_end = os.openpty()
    tty.setraw(write_end)
    return read_end, write_end
