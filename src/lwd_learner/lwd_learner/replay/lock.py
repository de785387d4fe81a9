"""One process writes episodes into a replay: the lock that says so."""

from __future__ import annotations

import fcntl
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
