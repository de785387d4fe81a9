"""The folder of one run: locked while the run lasts, checked for space, an earlier run moved aside."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

NEEDED_BYTES = 2 * 1024**3  # bags, replay and checkpoints of a ten-minute run take about 0.5 GB


class HomeError(RuntimeError):
    """The run's folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one run, of a demo or a soak, and the open lock that keeps a second one out of it."""

    path: Path
    lock: IO[str]

    @property
    def logs(self) -> Path:
        """Folder of one log file per started command."""
        return self.path / 'logs'

    @property
    def learner(self) -> Path:
        """The learner's run folder (status.json, metrics.jsonl, ingest.jsonl, weights.jsonl)."""
        return self.path / 'train'

    @property
    def store(self) -> Path:
        """Where robots upload and the learner ingests from."""
        return self.path / 'store'


def open_home(path: Path) -> Home:
    """Make an empty folder for a run at `path` and lock it.

    Raises:
        HomeError: another run is there, or the disk is too full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = (path.parent / f'.{path.name}.lock').open('a+')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        raise HomeError(
            f'another run (pid {lock.read().strip() or "unknown"}) is running in {path}; '
            f'wait for it, stop it, or give this one its own folder: --home {path}2'
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    free = shutil.disk_usage(path.parent).free
    if free < NEEDED_BYTES:
        raise HomeError(
            f'{free / 1e9:.1f} GB free at {path.parent}, a run needs {NEEDED_BYTES / 1e9:.1f} GB; free some'
        )
    if path.exists() and any(path.iterdir()):
        path.rename(_free_name(path))
    home = Home(path.resolve(), lock)
    for folder in (home.logs, home.learner, home.store):
        folder.mkdir(parents=True, exist_ok=True)
    return home


def _free_name(path: Path) -> Path:
    stamp = time.strftime('%Y%m%d-%H%M%S', time.localtime(path.stat().st_mtime))
    name = path.with_name(f'{path.name}-{stamp}')
    number = 1
    while name.exists():
        number += 1
        name = path.with_name(f'{path.name}-{stamp}-{number}')
    return name
