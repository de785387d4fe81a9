"""Takes each committed episode of a store into the replay exactly once.

What was taken is known from the replay itself: an episode's rows and its id are one commit, so a crash before it loses
nothing and a crash after it doubles nothing. The journal only says what happened and when.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lwd_policy_node.profile import RobotProfile
from lwd_recorder.manifest import EpisodeManifest, is_identifier
from lwd_recorder.store import Store, StoredObject, StoreError

from lwd_learner.heap import give_back
from lwd_learner.ingest.align import AlignConfig
from lwd_learner.ingest.arrivals import Arrivals
from lwd_learner.ingest.episode import read_episode, read_manifest
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.journal import IngestResult, Journal
from lwd_learner.ingest.postponed import Postponed
from lwd_learner.ingest.quarantine import quarantine
from lwd_learner.ingest.streams import StreamLimits
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.layout import ReplayError, ReplayLayout
from lwd_learner.replay.lock import writer_lock
from lwd_learner.replay.replay import Replay

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Limits and batching of ingest."""

    commit_episodes: int = 32
    """Episodes of one commit at most."""
    commit_frames: int = 30_000
    """A commit is made once so many frames wait."""
    commit_seconds: float = 1.0
    """A commit is made once a frame has waited so long: while robots upload, a poll may take much longer."""
    limits: StreamLimits = field(default_factory=StreamLimits)
    """What is believed of a bag."""
    align: AlignConfig = field(default_factory=AlignConfig)
    """How streams become frames."""


@dataclass(slots=True)
class _Waiting:
    """Frames of one data set that wait for their commit."""

    dataset: str
    entries: list[tuple[EpisodeFrames, EpisodeManifest, StoredObject]] = field(
        default_factory=list
    )
    since_s: float = 0.0
    """When the first of them came, on the monotonic clock."""

    def due(self, config: IngestConfig) -> bool:
        """Whether it is time to commit."""
        return bool(self.entries) and (
            len(self.entries) >= config.commit_episodes
            or self.frames >= config.commit_frames
            or time.monotonic() - self.since_s >= config.commit_seconds
        )

    @property
    def frames(self) -> int:
        return sum(len(entry[0]) for entry in self.entries)


class Ingest:
    """One store into one replay. Only one may run on a replay: it holds `ingest.lock` in the replay's folder."""

    def __init__(
        self,
        store: Store,
        replay: Replay,
        profile: RobotProfile,
        journal: Path,
        config: IngestConfig | None = None,
    ) -> None:
        """Prepare; `poll` does the work.

        Raises:
            ReplayError: another ingest writes to the replay, or the profile is not the replay's.
        """
        if ReplayLayout.of(profile) != replay.layout:
            raise ReplayError(
                f'{replay.uri} holds frames of profile {replay.layout.profile!r}, ingest was given {profile.name!r}'
            )
        self._store = store
        self._replay = replay
        self._profile = profile
        self._config = config or IngestConfig()
        self._lock = writer_lock(replay.uri)
        self.journal = Journal(journal)
        self._arrivals = Arrivals(store)
        self._logged: set[str] = set()
        for result in self.journal.results:
            self._remember(result)
        self.trouble: str | None = None
        """What the store said when the last poll failed, else None. Nothing is lost: what failed is tried again."""
        self.away = False
        """Whether the last poll could not list the store, or read nothing of it, and not for one bad episode."""
        self._postponed = Postponed()

    def close(self) -> None:
        """Let another ingest write."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def pending(self) -> list[StoredObject]:
        """Manifests in the store that were not dealt with yet, or were delivered again, in order of upload.

        Raises:
            StoreError: the store cannot be listed.
        """
        return self._arrivals.pending()

    def poll(
        self,
        on_result: Callable[[IngestResult], None] | None = None,
        on_pending: Callable[[int], None] | None = None,
    ) -> list[IngestResult]:
        """Take what is new; answers one result per manifest dealt with.

        `on_pending` is told how many manifests wait, `on_result` each result as soon as it stands.

        A damaged episode is quarantined and the rest goes on. When the store fails, `trouble` says how, and what
        could not be read waits: for the next poll, and if that fails too ever longer. What has failed in the same way
        for long, while others could be read, is quarantined with the reason.
        """
        results: list[IngestResult] = []

        def done(result: IngestResult) -> None:
            self.journal.add(result)
            self._remember(result)
            results.append(result)
            if on_result is not None:
                on_result(result)

        self.trouble, self.away = None, False
        read = False
        self._replay.refresh()  # verdicts that people changed meanwhile
        waiting = {name: _Waiting(name) for name in ('offline', 'online')}
        try:
            pending = self._due()
            if on_pending is not None:
                on_pending(len(pending))
            for item in pending:
                began_s = time.monotonic()
                try:
                    self._take(item, waiting, done)
                except StoreError as error:
                    self._put_off(item, error, time.monotonic() - began_s, done)
                else:
                    read = True
                    self._postponed.was_read(item.key)
                for batch in waiting.values():
                    if batch.due(self._config):
                        self._commit(batch, done)
        except StoreError as error:
            self.trouble = str(error)
            self.away = True
            log.warning('the store cannot be listed: %s', error)
        self.away &= not read
        for batch in waiting.values():
            self._commit(batch, done)
        if results and self._replay.maybe_compact():
            give_back()
        return results

    def _due(self) -> list[StoredObject]:
        """What is pending and not put off."""
        due = self._postponed.due()
        if due:
            self._arrivals.look_at_everything()
        found = self.pending()
        self._postponed.forget(due - {item.key for item in found})
        return [item for item in found if not self._postponed.waits(item)]

    def _put_off(
        self,
        item: StoredObject,
        error: StoreError,
        took_s: float,
        done: Callable[[IngestResult], None],
    ) -> None:
        """The store failed for this one; it is tried again, or set aside if that has been done enough."""
        verdict = self._postponed.add(item, error, took_s)
        if verdict.give_up:
            reason = (
                f'could not be read in {verdict.tries} tries over {verdict.lasted_s / 60:.0f} min, while others could: '
                f'{error}'
            )
            try:
                self._set_aside(item, None, reason, done)
            except StoreError as refused:
                log.warning('%s cannot be quarantined: %s', item.key, refused)
            else:
                self._postponed.forget((item.key,))
                return
        self.trouble = f'{item.key}: {error}'
        self.away |= not verdict.others_were_read
        when = f'in {verdict.wait_s:.0f} s' if verdict.wait_s else 'at the next look'
        log.warning('%s; it is tried again %s', self.trouble, when)

    def _remember(self, result: IngestResult) -> None:
        """What was quarantined is gone from its key; put back there, it is to be dealt with, by whatever write time."""
        if result.quarantined is None:
            self._arrivals.dealt_with(result.key, result.key_mtime_s)
            self._logged.add(result.episode_id)

    def _take(
        self,
        item: StoredObject,
        waiting: dict[str, _Waiting],
        done: Callable[[IngestResult], None],
    ) -> None:
        name, _ = _place(item)
        manifest: EpisodeManifest | None = None
        try:
            manifest = self._manifest(item, name)
            batch = waiting[_dataset_of(manifest)]
            if self._replay.has_episode(manifest.episode_id):
                done(self._known(item, manifest))
                return
            if any(name == entry[1].episode_id for of in waiting.values() for entry in of.entries):
                for of in waiting.values():
                    self._commit(of, done)
                done(self._known(item, manifest))
                return
            entry = self._frames(item, manifest), manifest, item
            batch.since_s = batch.since_s if batch.entries else time.monotonic()
            batch.entries.append(entry)
        except DamagedEpisodeError as error:
            self._set_aside(item, manifest, str(error), done)

    def _set_aside(
        self,
        item: StoredObject,
        manifest: EpisodeManifest | None,
        reason: str,
        done: Callable[[IngestResult], None],
    ) -> None:
        name, robot = _place(item)
        log.warning('%s is quarantined: %s', item.key, reason)
        quarantine(self._store, item.key, name, reason)
        done(
            IngestResult(
                episode_id=name,
                robot_id=manifest.robot_id if manifest else robot,
                dataset=None,
                frames=0,
                outcome=manifest.outcome if manifest else 'unknown',
                ended_wall_s=manifest.ended_wall_s if manifest else 0.0,
                committed_wall_s=manifest.committed_wall_s if manifest else item.mtime_s,
                sampleable_wall_s=0.0,
                version=0,
                duplicate=False,
                quarantined=reason,
                key=item.key,
                key_mtime_s=item.mtime_s,
            )
        )

    def read(self, item: StoredObject) -> tuple[str, EpisodeFrames]:
        """The data set and the frames of one committed episode; nothing is taken, quarantined or noted.

        Raises:
            DamagedEpisodeError: it cannot be taken.
            StoreError: the store failed.
        """
        folder = item.key.split('/')
        manifest = self._manifest(item, folder[-2] if len(folder) == 6 else 'unnamed')
        return _dataset_of(manifest), self._frames(item, manifest)

    def _manifest(self, item: StoredObject, name: str) -> EpisodeManifest:
        most = self._config.limits.bag.max_bytes
        return read_manifest(self._store, item, name, self._profile, most)

    def _frames(self, item: StoredObject, manifest: EpisodeManifest) -> EpisodeFrames:
        frames = read_episode(
            self._store, item, manifest, self._profile, self._config.limits, self._config.align
        )
        try:
            frames.check(self._replay.layout)
        except ReplayError as error:
            raise DamagedEpisodeError(str(error)) from error
        return frames

    def _commit(self, batch: _Waiting, done: Callable[[IngestResult], None]) -> None:
        if not batch.entries:
            return
        version = self._replay.append(batch.dataset, [frames for frames, _, _ in batch.entries])
        now = time.time()
        entries, batch.entries = batch.entries, []
        for frames, manifest, item in entries:
            done(
                _result(item, manifest, batch.dataset, len(frames), version, now, duplicate=False)
            )

    def _known(self, item: StoredObject, manifest: EpisodeManifest) -> IngestResult:
        """An episode that the replay holds: delivered again, or committed before a crash and not yet logged."""
        for dataset in ('offline', 'online'):
            number = self._replay.index(dataset).by_id.get(manifest.episode_id)
            if number is not None:
                facts = self._replay.episodes(dataset)[number]
                version = self._replay.version(dataset)
                duplicate = manifest.episode_id in self._logged
                rows = facts.stop - facts.start
                return _result(
                    item, manifest, dataset, rows, version, time.time(), duplicate=duplicate
                )
        raise ReplayError(f'{manifest.episode_id} is not in {self._replay.uri}')


def _place(item: StoredObject) -> tuple[str, str]:
    """Names of the episode and of the robot by a manifest's key."""
    folder = item.key.split('/')
    if len(folder) != 6:
        return 'unnamed', ''
    return folder[-2] if is_identifier(folder[-2]) else 'unnamed', folder[1]


def _dataset_of(manifest: EpisodeManifest) -> str:
    return 'online' if manifest.kind == 'rollout' else 'offline'


def _result(
    item: StoredObject,
    manifest: EpisodeManifest,
    dataset: str,
    frames: int,
    version: int,
    sampleable_wall_s: float,
    *,
    duplicate: bool,
) -> IngestResult:
    return IngestResult(
        episode_id=manifest.episode_id,
        robot_id=manifest.robot_id,
        dataset=dataset,
        frames=frames,
        outcome=manifest.outcome,
        ended_wall_s=manifest.ended_wall_s,
        committed_wall_s=manifest.committed_wall_s,
        sampleable_wall_s=sampleable_wall_s,
        version=version,
        duplicate=duplicate,
        quarantined=None,
        key=item.key,
        key_mtime_s=item.mtime_s,
    )
