"""One episode_node a journal: a second one would take the first one's episode for one that was lost, and end it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lwd_policy_node.episode.machine import EpisodeError


class JournalLock:
    """Held as long as the process works; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, journal: Path) -> None:
        """Take ``episode.lock`` beside the journal ``episode.json``, in a folder that exists.

        Raises:
            EpisodeError: another process has it, or the disk refuses.
        """
        path = journal.with_suffix('.lock')
        try:  # reading is enough to lock: one that is there can be taken on a disk that takes nothing any more
            self._file: int | None = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        except OSError as error:
            raise EpisodeError(
                f'{path} cannot be made ({error.strerror}); give the folder room and the right to write'
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise EpisodeError(
                f'another episode_node keeps {journal}; stop it, or give this one a robot_id or journal of its own'
            ) from None

    def close(self) -> None:
        """Let go; harmless when nothing is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
