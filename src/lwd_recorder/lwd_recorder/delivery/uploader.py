"""Works through the spool: every closed episode into the store, once, however often it is interrupted."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from lwd_recorder.delivery.deliver import ConflictError, deliver
from lwd_recorder.manifest import ManifestError, ManifestUnreadableError
from lwd_recorder.spool import (
    Entry,
    Owner,
    Room,
    RoomConfig,
    Spool,
    SpoolError,
    State,
    make_room,
)
from lwd_recorder.store.base import IntegrityError, OnBytes, Store, StoreError

_ROOM = RoomConfig()


@dataclass(frozen=True, slots=True)
class UploaderConfig:
    """How the uploader works."""

    keep_committed: int = 0
    """Newest delivered episodes whose local copy stays while there is room."""
    warn_free_bytes: int = _ROOM.warn_free_bytes
    """Below this free space all local copies of delivered episodes go, oldest first, bytes."""
    min_free_bytes: int = _ROOM.min_free_bytes
    """Below this free space the recorder begins no episode; for the warning, bytes."""
    poll_s: float = 0.25
    """Interval of looking into the spool, s."""
    backoff_min_s: float = 0.2
    """First pause after a failure, s; doubled at each further one."""
    backoff_max_s: float = 3600.0
    """Longest pause, s; it ends early when another episode gets through."""
    concurrency: int = 2
    """Episodes under way at the same time."""


@dataclass(slots=True)
class UploadTotals:
    """What an uploader did since its start."""

    committed: int = 0
    """Episodes put into the store."""
    already: int = 0
    """Episodes that the store had before."""
    quarantined: int = 0
    """Episodes set aside."""
    failures: int = 0
    """Attempts that failed."""
    sent_bytes: int = 0
    """Bytes sent."""
    last_error: str = ''
    """The last failure; empty after a success."""
    room: Room | None = None
    """How much room there is on the spool's disk; None before the first look."""


class Uploader:
    """`run` blocks until `stop`; it is driven by a thread or by a script."""

    def __init__(
        self,
        spool_root: Path | str,
        store: Store,
        config: UploaderConfig | None = None,
        log: Callable[[str, str], None] = lambda level, text: None,
        on_bytes: OnBytes = lambda count: None,
    ) -> None:
        """Prepare.

        Args:
            spool_root: the spool's folder.
            store: where episodes go.
            config: see UploaderConfig.
            log: called with (level, text), level one of info, warn, error; from any worker's thread.
            on_bytes: told of the bytes that are in the store, by any worker's thread.
        """
        self._root = spool_root
        self._store = store
        self._config = config or UploaderConfig()
        self._log = log
        self._on_bytes = on_bytes
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._retry_at_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self.totals = UploadTotals()
        """Read-only for others."""

    def stop(self) -> None:
        """Ask every worker to return; an upload under way is left after its current part, to be gone on with."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop`, with `concurrency` workers."""
        workers = [
            threading.Thread(target=self._work, name=f'upload-{index}', daemon=True)
            for index in range(self._config.concurrency)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def run_once(self, only: Collection[str] | None = None) -> None:
        """Try every episode that is in the spool now once, or `only` these, in this thread, and return.

        Raises:
            SpoolError: the journal refuses.
            OSError: the disk refuses.
        """
        spool = Spool(self._root)
        owner = Owner(spool.owners)
        try:
            for entry in self._waiting(spool):
                if only is not None and entry.episode_id not in only:
                    continue
                claimed = spool.claim(entry.episode_id, owner)
                if claimed is not None:
                    self._upload(spool, owner, claimed)
            self._tidy(spool)
        finally:
            owner.close()
            spool.close()

    def _work(self) -> None:
        spool = Spool(self._root)
        owner = Owner(spool.owners)
        try:
            while not self._stop.is_set():
                entry = self._take_safely(spool, owner)
                if entry is None:
                    self._stop.wait(self._config.poll_s)
                else:
                    self._upload(spool, owner, entry)
        finally:
            owner.close()
            spool.close()

    def _take_safely(self, spool: Spool, owner: Owner) -> Entry | None:
        try:
            self._tidy(spool)
            return self._take(spool, owner)
        except (SpoolError, OSError) as error:  # a full disk or a locked journal: later
            self._report_failure(str(error))
            return None

    def _take(self, spool: Spool, owner: Owner) -> Entry | None:
        """Claim the first episode that is due and that nobody works on, in this process or another."""
        now_s = time.monotonic()
        for entry in self._waiting(spool):
            if now_s >= self._retry_at_s.get(entry.episode_id, 0.0):
                claimed = spool.claim(entry.episode_id, owner)
                if claimed is not None:
                    return claimed
        return None

    def _waiting(self, spool: Spool) -> list[Entry]:
        """Return the episodes that are to be delivered: urgent ones first, then the oldest."""
        entries = spool.entries(State.CLOSED, State.UPLOADING)
        return sorted(entries, key=lambda entry: not entry.urgent)

    def _tidy(self, spool: Spool) -> None:
        """Remove local copies that are not needed any more."""
        config = self._config
        limits = RoomConfig(config.warn_free_bytes, config.min_free_bytes, config.keep_committed)
        room, before = make_room(spool, limits), self.totals.room
        self.totals.room = room
        if room.stuck and (before is None or before.stuck != room.stuck):
            self._log('warn', room.stuck)

    def _upload(self, spool: Spool, owner: Owner, entry: Entry) -> None:
        episode_id = entry.episode_id
        try:
            if entry.state in (
                State.CLOSED,
                State.UPLOADING,
            ):  # not done by another in the meantime
                self._deliver(spool, episode_id)
            self._retry_at_s.clear()  # the store is back: nobody waits for the end of a long pause
            self._failures.pop(episode_id, None)
        except _Stopped:
            pass
        except ManifestUnreadableError as error:
            self._try_later(spool, episode_id, str(error))
        except (ManifestError, IntegrityError, ConflictError) as error:
            self._set_aside(spool, episode_id, str(error))
        except (StoreError, SpoolError, OSError) as error:
            self._try_later(spool, episode_id, str(error))
        finally:
            self._release(spool, owner, episode_id)

    def _deliver(self, spool: Spool, episode_id: str) -> None:
        spool.begin_upload(episode_id)
        delivery = deliver(
            self._store, spool.folder(episode_id), log=spool.uploads, on_bytes=self._go_on
        )
        spool.commit(episode_id)
        with self._lock:
            self.totals.sent_bytes += delivery.sent_bytes
            self.totals.last_error = ''
            if delivery.already:
                self.totals.already += 1
            else:
                self.totals.committed += 1
        if delivery.relabelled:
            self._log('warn', f'episode {episode_id}: {delivery.relabelled}')
        verb = 'was in the store already' if delivery.already else 'committed'
        self._log(
            'info',
            f'episode {episode_id} {verb} '
            f'({delivery.sent_bytes} bytes in {delivery.elapsed_s:.2f} s)',
        )

    def _go_on(self, count: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._on_bytes(count)

    def _release(self, spool: Spool, owner: Owner, episode_id: str) -> None:
        try:
            spool.release(episode_id, owner)
        except SpoolError as error:  # it stays this worker's, which tries again
            self._report_failure(str(error))

    def _set_aside(self, spool: Spool, episode_id: str, reason: str) -> None:
        try:
            spool.quarantine(episode_id, reason)
        except (SpoolError, OSError) as error:
            self._try_later(spool, episode_id, f'{reason}; and it cannot be set aside: {error}')
            return
        with self._lock:
            self.totals.quarantined += 1
            self.totals.last_error = reason
        self._log('error', f'episode {episode_id} quarantined: {reason}')

    def _try_later(self, spool: Spool, episode_id: str, reason: str) -> None:
        failures = self._failures.get(episode_id, 0) + 1
        self._failures[episode_id] = failures
        longest_s = min(
            self._config.backoff_max_s, self._config.backoff_min_s * 2 ** min(failures - 1, 30)
        )
        pause_s = longest_s * random.uniform(0.5, 1.0)
        self._retry_at_s[episode_id] = time.monotonic() + pause_s
        self._report_failure(
            f'episode {episode_id} not uploaded, again in {pause_s:.1f} s '
            f'(attempt {failures}): {reason}'
        )
        try:
            spool.note_failure(episode_id, reason)
        except SpoolError as error:
            self._report_failure(str(error))

    def _report_failure(self, text: str) -> None:
        with self._lock:
            self.totals.failures += 1
            self.totals.last_error = text
        self._log('warn', text)


class _Stopped(Exception):
    """The uploader was told to stop in the middle of an upload."""
