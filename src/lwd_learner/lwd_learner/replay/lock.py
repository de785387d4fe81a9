"""Who may write to a replay: one ingest for as long as it runs, and one commit at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lwd_learner.replay.layout import ReplayError


def writer_lock(uri: str) -> IO[bytes] | None:
    """Hold the writer's lock until the answer is closed; None for a replay on an object store, which has none.

    Raises:
        ReplayError: another process holds it.
    """
    if '://' in uri:
        return None
    path = Path(uri) / 'ingest.lock'
    file = path.open('ab')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ReplayError(
            f'another ingest writes to {uri} (it holds {path}); stop it, or use another replay'
        ) from None
    return file


@contextmanager
def one_commit(uri: str) -> Iterator[None]:
    """Wait for other processes' commits, and keep them waiting.

    An append that lands between the plan and the commit of a compaction would change the order of rows, which their
    numbers stand for. An object store has no such lock: there, let only ingest compact.
    """
    if '://' in uri:
        yield
        return
    with (Path(uri) / 'commit.lock').open('ab') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
