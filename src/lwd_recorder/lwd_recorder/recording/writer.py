"""The threads behind the subscriptions: messages to the kernel, and everything that waits for a disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lwd_recorder.bag import BagError, SchemaError
from lwd_recorder.manifest import ManifestError
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.preroll import Sample
from lwd_recorder.recording.session import Session
from lwd_recorder.spool import Salvage, Spool, SpoolError, State

_WAKE_S = 0.05
REPAIR_S = 30.0
"""Pause between two tries to repair what a disk error or a killed recorder left, s."""
LEFT_OPEN = 'it was left open by a recorder that was killed'


class Notice(NamedTuple):
    """Something that happened in the writer or the recorder."""

    level: str
    """info, warn or error."""
    text: str
    """What happened, for the log."""
    closed: str = ''
    """Id of the episode that was just closed; empty for any other notice."""


class _Open(NamedTuple):
    session: Session
    samples: Sequence[Sample]


class _Close(NamedTuple):
    session: Session


class _Write(NamedTuple):
    session: Session
    sample: Sample


class EpisodeWriter:
    """Owns the open bags. `begin`, `put`, `finish` and `stop` are called by one receiving thread.

    Three threads: the writer takes messages to the kernel, the finisher waits for the disk (fsync, split files, closing
    an episode), so that neither a callback nor the next episode's messages ever wait for it. The repairer reads what
    could not be written to its end, which may take long, and keeps the finisher from nothing.
    """

    def __init__(
        self,
        spool_root: Path | str,
        config: RecorderConfig,
        notify: Callable[[Notice], None],
        salvage: Salvage | None = None,
    ) -> None:
        """Prepare; `start` starts the threads.

        Args:
            spool_root: the spool's folder.
            config: limits and intervals.
            notify: called from each of the threads with what happened.
            salvage: makes an episode out of what a disk error left of one.
        """
        self._spool_root = spool_root
        self._config = config
        self._notify = notify
        self._salvage = salvage
        self._queue: deque[_Open | _Write | _Close] = deque()
        self._queued_bytes = 0  # counted up by the receiving thread
        self._written_bytes = 0  # counted up by the writer thread: no lock on the way of a message
        self._wake = threading.Event()
        self._stopping = False
        self._open: list[Session] = []
        self._finishing: Future[None] | None = None
        self._last: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name='bag-writer', daemon=True)
        self._finisher = ThreadPoolExecutor(1, 'bag-finisher', self._open_spool)
        self._finisher_spool: Spool
        self._repairer = ThreadPoolExecutor(1, 'bag-repairer', self._open_repairer_spool)
        self._repairer_spool: Spool
        self._repairing: Future[None] | None = None
        self._failed: dict[
            str, str
        ] = {}  # reasons by episode: the finisher adds, the repairer adds and removes
        self._begun: set[str] = set()  # what is open because of us
        self._search = False
        self._repair_at_s = 0.0

    def repair_later(self, episode_ids: Iterable[str] | None) -> None:
        """Try again to repair what an earlier recorder left open, until it works; before `start`.

        Args:
            episode_ids: what is still open; None if the journal does not say.
        """
        self._search = episode_ids is None
        self._failed.update(dict.fromkeys(episode_ids or (), LEFT_OPEN))
        self._repair_at_s = time.monotonic() + REPAIR_S

    def start(self) -> None:
        """Start the threads."""
        self._repairer.submit(
            self._repair_failed
        )  # nothing yet; but it opens its spool while all is well
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writer runs."""
        return self._thread.is_alive()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in the queue."""
        return self._queued_bytes - self._written_bytes

    def begin(self, session: Session, samples: Sequence[Sample]) -> None:
        """Open an episode and write its first messages: the pre-roll, which has a limit of its own."""
        self._queue.append(_Open(session, samples))
        self._wake.set()

    def put(self, session: Session, sample: Sample) -> bool:
        """Queue one message; False when the queue is full and the message was not taken."""
        size = len(sample.data)
        if self.pending_bytes + size > self._config.queue_limit_bytes:
            return False
        self._queued_bytes += size
        self._queue.append(_Write(session, sample))
        return True

    def finish(self, session: Session) -> None:
        """Close an episode after everything that was queued for it."""
        self._queue.append(_Close(session))
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Write what is queued, close what is to be closed, end the threads; False if they did not end in time."""
        give_up_s = time.monotonic() + timeout_s
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        if self._last is None:
            self._last = self._finisher.submit(self._close_spools)
            self._finisher.shutdown(wait=False)
        done, _ = wait([self._last], max(0.0, give_up_s - time.monotonic()))
        return bool(done)

    def _run(self) -> None:
        spool = Spool(self._spool_root)
        flush_at_s = sync_at_s = 0.0
        try:
            while True:
                stopping = self._stopping
                self._drain(spool)
                if stopping:
                    return
                now_s = time.monotonic()
                if now_s >= flush_at_s:
                    flush_at_s = now_s + self._config.flush_s
                    for session in self._open:
                        self._guarded(session, session.flush)
                if now_s >= sync_at_s and (self._finishing is None or self._finishing.done()):
                    sync_at_s = now_s + self._config.sync_s
                    self._finishing = self._finisher.submit(self._sync, tuple(self._open))
                self._wake.wait(_WAKE_S)
                self._wake.clear()
        finally:
            spool.close()

    def _drain(self, spool: Spool) -> None:
        while self._queue:
            item = self._queue.popleft()
            session = item.session
            samples: Sequence[Sample] = ()
            if isinstance(item, _Open):
                samples = item.samples
                self._begun.add(session.episode_id)
                self._open.append(session)
                self._guarded(session, partial(session.open, spool, self._finisher))
            elif isinstance(item, _Write):
                samples = (item.sample,)
            elif session in self._open and not session.failure:
                self._open.remove(session)
                self._finisher.submit(self._close, session)
            for sample in samples:
                self._guarded(session, partial(session.write, sample))
            if isinstance(item, _Write):
                self._written_bytes += len(item.sample.data)
            self._drop_failed()
        self._drop_failed()

    def _drop_failed(self) -> None:
        """Hand what cannot be written any more to the finisher: from here on nobody writes it."""
        for session in [one for one in self._open if one.failure]:
            self._open.remove(session)
            self._finisher.submit(self._give_up, session)

    @staticmethod
    def _guarded(session: Session, act: Callable[[], object]) -> None:
        """Do something for an episode that is well; what goes wrong costs that episode and nothing else."""
        if session.failure:
            return
        try:
            act()
        except (BagError, SchemaError, SpoolError, ManifestError, OSError) as error:
            session.failure = f'{type(error).__name__}: {error}'

    def _open_spool(self) -> None:
        self._finisher_spool = Spool(self._spool_root)

    def _open_repairer_spool(self) -> None:
        self._repairer_spool = Spool(self._spool_root)

    def _close_spools(self) -> None:
        """Let go of the journal, in each thread of its own; the repair under way is waited for."""
        self._finisher_spool.close()
        self._repairer.submit(lambda: self._repairer_spool.close())
        self._repairer.shutdown()

    def _sync(self, sessions: Sequence[Session]) -> None:
        for session in sessions:
            self._guarded(session, session.sync)
        if (self._failed or self._search) and time.monotonic() >= self._repair_at_s:
            self._begin_repair()

    def _close(self, session: Session) -> None:
        self._guarded(session, partial(self._close_whole, session))
        if session.failure:
            self._give_up(session)

    def _close_whole(self, session: Session) -> None:
        manifest = session.close(self._finisher_spool)
        messages = sum(topic.count for topic in manifest.topics.values())
        text = (
            f'episode {session.episode_id} closed: {manifest.outcome} by '
            f'{manifest.ended_by}, {messages} messages, {manifest.size_bytes} bytes'
        )
        self._notify(Notice('info', text, session.episode_id))

    def _give_up(self, session: Session) -> None:
        """Let go of an episode that cannot be written; what is on the disk becomes one that says so."""
        session.abandon()
        text = f'episode {session.episode_id} is not recorded to its end: {session.failure}. The recorder goes on'
        self._notify(Notice('error', text))
        if session.entered:
            self._failed[session.episode_id] = session.failure
            self._begin_repair()

    def _begin_repair(self) -> None:
        """Let the repairer see to what failed; again in a while, or right after the repair that is under way."""
        if self._repairing is None or self._repairing.done():
            self._repair_at_s = time.monotonic() + REPAIR_S
            self._repairing = self._repairer.submit(self._repair_failed)
        else:
            self._repair_at_s = 0.0

    def _repair_failed(self) -> None:
        """Repair what failed; on a disk that still refuses, again later."""
        spool = self._repairer_spool
        if self._search:
            try:
                left = [one for one in spool.left_open() if one not in self._begun]
            except (SpoolError, OSError):
                return
            self._failed.update(dict.fromkeys(left, LEFT_OPEN))
            self._search = False
        for episode_id, reason in list(self._failed.items()):
            try:
                entry = spool.find(episode_id)
                if entry is not None and entry.state is State.OPEN:
                    spool.recover_episode(episode_id, self._salvage, reason)
                    entry = spool.find(episode_id)
            except (SpoolError, OSError):
                continue
            if entry is None or entry.state is not State.OPEN:
                del self._failed[episode_id]
                state = 'unknown' if entry is None else str(entry.state)
                closed = '' if state in ('unknown', State.QUARANTINED) else episode_id
                self._notify(
                    Notice('warn', f'episode {episode_id} is now {state}: {reason}', closed)
                )
