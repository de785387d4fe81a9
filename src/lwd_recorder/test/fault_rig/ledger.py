"""What a recorder has acknowledged, in a memory that outlives it: a mapped file, written after each promise is kept.

Two promises: *flushed* (the kernel has it: a killed process does not lose it) and *synced* (the disk has it: a power
cut or a failing file system does not lose it). An episode that was announced as closed is promised whole.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lwd_recorder.bag.mcap_file import McapFile

_SLOT = struct.Struct('@QQQ')


class Ledger:
    """Messages of each episode that must be readable afterwards, whatever happens."""

    def __init__(self, path: Path, episodes: Sequence[str]) -> None:
        """Open it, or begin it with zeros."""
        self.path = path
        self.episodes = list(episodes)
        size = max(1, len(self.episodes)) * _SLOT.size
        fresh = path.with_name(f'{path.name}.{os.getpid()}')
        fresh.write_bytes(bytes(size))
        with suppress(FileExistsError):  # the other process was first
            os.link(fresh, path)
        fresh.unlink()
        with path.open('r+b') as file:
            self._memory = mmap.mmap(file.fileno(), size)
        self._files: dict[str, dict[Path, list[int]]] = {}

    def flushed(self, episode_id: str) -> int:
        """Messages that the kernel has."""
        return int(self._slot(episode_id)[0])

    def synced(self, episode_id: str) -> int:
        """Messages that the disk has."""
        return int(self._slot(episode_id)[1])

    def closed(self, episode_id: str) -> bool:
        """Whether it was announced as closed."""
        return bool(self._slot(episode_id)[2])

    def note_closed(self, episode_id: str) -> None:
        """Keep that an episode was announced as closed."""
        flushed, synced, _ = self._slot(episode_id)
        self._write(episode_id, flushed, synced, 1)

    def watch(self) -> None:
        """From here on keep the promises of this process's bag files. The calls themselves are not changed."""
        flush, sync, finish = McapFile.flush, McapFile.sync, McapFile.finish

        def flushed(file: McapFile) -> None:
            flush(file)
            self._keep(file, file.message_count, 0)

        def synced(file: McapFile) -> None:
            before = self._of(file).get(file.path, [0, 0])[0]
            sync(file)
            self._keep(file, 0, before)

        def finished(file: McapFile) -> None:
            finish(file)
            self._keep(file, file.message_count, file.message_count)

        patched: Any = McapFile
        patched.flush, patched.sync, patched.finish = flushed, synced, finished

    def _of(self, file: McapFile) -> dict[Path, list[int]]:
        return self._files.setdefault(file.path.parent.name, {})

    def _keep(self, file: McapFile, flushed: int, synced: int) -> None:
        files = self._of(file)
        counts = files.setdefault(file.path, [0, 0])
        counts[0], counts[1] = max(counts[0], flushed), max(counts[1], synced)
        episode_id = file.path.parent.name
        on_disk = 0
        for in_kernel, synced_too in list(files.values()):  # in the order of the files
            on_disk += synced_too
            if synced_too < in_kernel:
                break
        closed = self._slot(episode_id)[2]
        self._write(episode_id, sum(one[0] for one in list(files.values())), on_disk, closed)

    def _slot(self, episode_id: str) -> tuple[int, int, int]:
        return _SLOT.unpack_from(self._memory, self.episodes.index(episode_id) * _SLOT.size)

    def _write(self, episode_id: str, flushed: int, synced: int, closed: int) -> None:
        offset = self.episodes.index(episode_id) * _SLOT.size
        _SLOT.pack_into(self._memory, offset, flushed, synced, closed)
