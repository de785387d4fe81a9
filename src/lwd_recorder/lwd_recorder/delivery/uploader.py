"""Works through the spool: every closed episode into the store, once, however often it is interrupted."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lwd_recorder.delivery.deliver import ConflictError, deliver
from lwd_recorder.manifest import ManifestError
from lwd_recorder.spool import Entry, Spool, SpoolError, State
from lwd_recorder.store.base import IntegrityError, Store, StoreError


@dataclass(frozen=True, slots=True)
class UploaderConfig:
    """How the uploader works."""

    keep_local: bool = False
    """Keep the local copy after the store has verified it."""
    poll_s: float = 0.25
    """Interval of looking into the spool, s."""
    backoff_min_s: float = 0.2
    """First pause after a failure, s; doubled at each further one."""
    backoff_max_s: float = 60.0
    """Longest pause, s."""
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


class Uploader:
    """`run` blocks until `stop`; it is driven by a thread or by a script."""

    def __init__(
        self,
        spool_root: Path | str,
        store: Store,
        config: UploaderConfig | None = None,
        log: Callable[[str, str], None] = lambda level, text: None,
    ) -> None:
        """Prepare.

        Args:
            spool_root: the spool's folder.
            store: where episodes go.
            config: see UploaderConfig.
            log: called with (level, text), level one of info, warn, error; from any worker's thread.
        """
        self._root = spool_root
        self._store = store
        self._config = config or UploaderConfig()
        self._log = log
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._retry_at_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self.totals = UploadTotals()
        """Read-only for others."""

    def stop(self) -> None:
        """Ask every worker to return; a file under way is finished first."""
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

    def run_once(self) -> None:
        """Try every episode that is in the spool now once, in this thread, and return."""
        spool = Spool(self._root)
        try:
            for entry in self._due(spool):
                self._upload(spool, entry)
        finally:
            spool.close()

    def _work(self) -> None:
        spool = Spool(self._root)
        try:
            while not self._stop.is_set():
                entry = self._take_safely(spool)
                if entry is None:
                    self._stop.wait(self._config.poll_s)
                else:
                    self._upload(spool, entry)
        finally:
            spool.close()

    def _take_safely(self, spool: Spool) -> Entry | None:
        try:
            return self._take(spool)
        except SpoolError as error:  # a full disk or a locked journal: later
            self._report_failure(str(error))
            return None

    def _take(self, spool: Spool) -> Entry | None:
        """Return the oldest episode that nobody works on and that is due, and claim it."""
        now_s = time.monotonic()
        with self._lock:
            for entry in self._due(spool):
                due_s = self._retry_at_s.get(entry.episode_id, 0.0)
                if entry.episode_id not in self._busy and now_s >= due_s:
                    self._busy.add(entry.episode_id)
                    return entry
        return None

    def _due(self, spool: Spool) -> list[Entry]:
        """Return the episodes that something is to be done with, oldest first."""
        states = [State.CLOSED, State.UPLOADING]
        if not self._config.keep_local:
            states.append(State.COMMITTED)
        return spool.entries(*states)

    def _upload(self, spool: Spool, entry: Entry) -> None:
        episode_id = entry.episode_id
        try:
            if entry.state is not State.COMMITTED:
                self._deliver(spool, episode_id)
            if not self._config.keep_local:
                spool.delete_local(episode_id)
            self._retry_at_s.pop(episode_id, None)
            self._failures.pop(episode_id, None)
        except (ManifestError, IntegrityError, ConflictError) as error:
            self._set_aside(spool, episode_id, str(error))
        except (StoreError, SpoolError, OSError) as error:
            self._try_later(spool, episode_id, str(error))
        finally:
            with self._lock:
                self._busy.discard(episode_id)

    def _deliver(self, spool: Spool, episode_id: str) -> None:
        spool.begin_upload(episode_id)
        delivery = deliver(self._store, spool.folder(episode_id))
        spool.commit(episode_id)
        with self._lock:
            self.totals.sent_bytes += delivery.sent_bytes
            self.totals.last_error = ''
            if delivery.already:
                self.totals.already += 1
            else:
                self.totals.committed += 1
        verb = 'was in the store already' if delivery.already else 'committed'
        self._log(
            'info',
            f'episode {episode_id} {verb} '
            f'({delivery.sent_bytes} bytes in {delivery.elapsed_s:.2f} s)',
        )

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
