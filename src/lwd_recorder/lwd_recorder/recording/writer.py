"""The writer thread: takes messages from a bounded queue to the disk, so that no callback ever waits for one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lwd_recorder.bag import BagError, SchemaError
from lwd_recorder.manifest import ManifestError
from lwd_recorder.recording.preroll import Sample
from lwd_recorder.recording.session import Session
from lwd_recorder.spool import Spool, SpoolError, State

_WAKE_S = 0.05


class Notice(NamedTuple):
    """Something that happened in the writer or the recorder."""

    level: str
    """info, warn or error."""
    text: str
    """What happened, for the log."""
    closed: str = ''
    """Id of the episode that was just closed; empty for any other notice."""
    missed: str = ''
    """Id of an episode under way that began before the recorder; empty for any other notice."""


class _Open(NamedTuple):
    session: Session
    samples: Sequence[Sample]


class _Close(NamedTuple):
    session: Session


class _Write(NamedTuple):
    session: Session
    sample: Sample


class EpisodeWriter:
    """Owns the open bags. `begin`, `put`, `finish` and `stop` are called by one receiving thread."""

    def __init__(
        self, spool_root: Path | str, limit_bytes: int, notify: Callable[[Notice], None]
    ) -> None:
        """Prepare; `run` starts the thread.

        Args:
            spool_root: the spool's folder.
            limit_bytes: most bytes that wait in the queue.
            notify: called from the writer thread with what happened.
        """
        self._spool_root = spool_root
        self._limit_bytes = limit_bytes
        self._notify = notify
        self._queue: deque[_Open | _Write | _Close] = deque()
        self._queued_bytes = 0  # counted up by the receiving thread
        self._written_bytes = 0  # counted up by the writer thread: no lock on the way of a message
        self._wake = threading.Event()
        self._stopping = False
        self._to_quarantine: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name='bag-writer', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in the queue."""
        return self._queued_bytes - self._written_bytes

    def begin(self, session: Session, samples: Sequence[Sample]) -> None:
        """Open an episode and write its first messages."""
        self._queued_bytes += sum(len(sample.data) for sample in samples)
        self._queue.append(_Open(session, samples))
        self._wake.set()

    def put(self, session: Session, sample: Sample) -> bool:
        """Queue one message; False when the queue is full and the message was not taken."""
        size = len(sample.data)
        if self.pending_bytes + size > self._limit_bytes:
            return False
        self._queued_bytes += size
        self._queue.append(_Write(session, sample))
        return True

    def finish(self, session: Session) -> None:
        """Close an episode after everything that was queued for it."""
        self._queue.append(_Close(session))
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread; False if it did not end in time."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        spool = Spool(self._spool_root)
        try:
            while True:
                stopping = self._stopping
                self._drain(spool)
                if stopping:
                    return
                if self._to_quarantine:
                    self._set_aside(spool)
                self._wake.wait(_WAKE_S)
                self._wake.clear()
        finally:
            spool.close()

    def _drain(self, spool: Spool) -> None:
        while self._queue:
            item = self._queue.popleft()
            samples: Sequence[Sample] = ()
            if isinstance(item, _Write):
                samples = (item.sample,)
            elif isinstance(item, _Open):
                samples = item.samples
            if not item.session.failure:
                self._handle(spool, item, samples)
            self._written_bytes += sum(len(sample.data) for sample in samples)

    def _handle(
        self, spool: Spool, item: _Open | _Write | _Close, samples: Sequence[Sample]
    ) -> None:
        session = item.session
        try:
            if isinstance(item, _Open):
                session.open(spool)
            for sample in samples:
                session.write(sample)
            if isinstance(item, _Close):
                manifest = session.close(spool)
                messages = sum(topic.count for topic in manifest.topics.values())
                text = (
                    f'episode {session.episode_id} closed: {manifest.outcome} by '
                    f'{manifest.ended_by}, {messages} messages, {manifest.size_bytes} bytes'
                )
                self._notify(Notice('info', text, session.episode_id))
        except (BagError, SchemaError, SpoolError, ManifestError, OSError) as error:
            session.failure = f'{type(error).__name__}: {error}'
            session.abandon()
            self._notify(
                Notice(
                    'error',
                    f'episode {session.episode_id} is not recorded: {session.failure}. '
                    'The recorder goes on with the next one',
                )
            )
            known = isinstance(item, _Open) and isinstance(error, SpoolError)
            if not known:
                self._to_quarantine[session.episode_id] = session.failure
                self._set_aside(spool)

    def _set_aside(self, spool: Spool) -> None:
        """Quarantine failed episodes; on a disk that is still full, again at the next turn."""
        for episode_id, reason in list(self._to_quarantine.items()):
            try:
                entry = spool.find(episode_id)
                if entry is not None and entry.state is State.OPEN:
                    spool.quarantine(episode_id, reason)
            except (SpoolError, OSError):
                continue
            del self._to_quarantine[episode_id]
