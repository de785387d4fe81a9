"""Takes each committed episode of a store into the replay exactly once.

What was taken is known from the replay itself: an episode's rows and its id are one commit, so a crash before it loses
nothing and a crash after it doubles nothing. The journal only says what happened and when.
"""

from __future__ import annotations

import fcntl
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lwd_policy_node.profile import RobotProfile
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import MAX_MANIFEST_BYTES, EpisodeManifest, ManifestError, is_identifier
from lwd_recorder.store import Store, StoredObject, StoreError

from lwd_learner.ingest.align import AlignConfig, align
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.journal import IngestResult, Journal
from lwd_learner.ingest.quarantine import quarantine
from lwd_learner.ingest.streams import StreamLimits, read_streams
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.layout import ReplayError, ReplayLayout
from lwd_learner.replay.replay import Replay

MANIFEST_NAME = 'manifest.json'
ROOT = 'robots/'

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Limits and batching of ingest."""

    max_episode_bytes: int = 2 << 30
    """Largest episode that is fetched, bytes of its files."""
    commit_episodes: int = 32
    """Episodes of one commit at most."""
    commit_frames: int = 30_000
    """A commit is made once so many frames wait."""
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
        self._lock = _lock(replay)
        self.journal = Journal(journal)
        self._seen = {result.key: result.key_mtime_s for result in self.journal.results}
        self._logged = {
            result.episode_id for result in self.journal.results if result.quarantined is None
        }
        self.trouble: str | None = None
        """What the store said when the last poll failed, else None. Nothing is lost: the next poll tries again."""

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
        found = [
            item
            for item in self._store.list(ROOT)
            if item.key.endswith(f'/{MANIFEST_NAME}') and self._seen.get(item.key) != item.mtime_s
        ]
        return sorted(found, key=lambda item: (item.mtime_s, item.key))

    def poll(
        self,
        on_result: Callable[[IngestResult], None] | None = None,
        on_pending: Callable[[int], None] | None = None,
    ) -> list[IngestResult]:
        """Take what is new; answers one result per manifest dealt with.

        `on_pending` is told how many manifests wait, `on_result` each result as soon as it stands.

        A damaged episode is quarantined and the rest goes on. When the store fails, `trouble` says how, and what
        was not dealt with waits for the next poll.
        """
        results: list[IngestResult] = []

        def done(result: IngestResult) -> None:
            self.journal.add(result)
            self._seen[result.key] = result.key_mtime_s
            if result.quarantined is None:
                self._logged.add(result.episode_id)
            results.append(result)
            if on_result is not None:
                on_result(result)

        self.trouble = None
        waiting = {name: _Waiting(name) for name in ('offline', 'online')}
        try:
            pending = self.pending()
            if on_pending is not None:
                on_pending(len(pending))
            for item in pending:
                try:
                    self._take(item, waiting, done)
                except StoreError as error:
                    self.trouble = f'{item.key}: {error}'
                    log.warning('%s; it waits for the next poll', self.trouble)
                for batch in waiting.values():
                    if (
                        len(batch.entries) >= self._config.commit_episodes
                        or batch.frames >= self._config.commit_frames
                    ):
                        self._commit(batch, done)
        except StoreError as error:
            self.trouble = str(error)
            log.warning('the store cannot be listed: %s', error)
        for batch in waiting.values():
            self._commit(batch, done)
        if results:
            self._replay.maybe_compact()
        return results

    def _take(
        self,
        item: StoredObject,
        waiting: dict[str, _Waiting],
        done: Callable[[IngestResult], None],
    ) -> None:
        folder = item.key.split('/')
        name = folder[-2] if len(folder) == 6 and is_identifier(folder[-2]) else 'unnamed'
        robot = folder[1] if len(folder) == 6 else ''
        manifest: EpisodeManifest | None = None
        try:
            manifest = self._manifest(item, name)
            batch = waiting['online' if manifest.kind == 'rollout' else 'offline']
            if self._replay.has_episode(manifest.episode_id):
                done(self._known(item, manifest))
                return
            if any(name == entry[1].episode_id for of in waiting.values() for entry in of.entries):
                for of in waiting.values():
                    self._commit(of, done)
                done(self._known(item, manifest))
                return
            batch.entries.append((self._frames(item, manifest), manifest, item))
        except DamagedEpisodeError as error:
            reason = str(error)
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

    def _manifest(self, item: StoredObject, name: str) -> EpisodeManifest:
        if item.size_bytes > MAX_MANIFEST_BYTES:
            raise DamagedEpisodeError(f'a manifest of {item.size_bytes} bytes')
        try:
            manifest = EpisodeManifest.from_json(self._store.read_bytes(item.key))
        except ManifestError as error:
            raise DamagedEpisodeError(f'the manifest is not valid: {error}') from error
        if manifest.episode_id != name:
            raise DamagedEpisodeError(
                f'the manifest of {manifest.episode_id} lies in the folder of {name}'
            )
        if manifest.profile != self._profile.name:
            raise DamagedEpisodeError(
                f'recorded with profile {manifest.profile!r}, this replay is of {self._profile.name!r}'
            )
        if manifest.size_bytes > self._config.max_episode_bytes:
            raise DamagedEpisodeError(
                f'{manifest.size_bytes} bytes, the limit is {self._config.max_episode_bytes}'
            )
        return manifest

    def _frames(self, item: StoredObject, manifest: EpisodeManifest) -> EpisodeFrames:
        """Fetch, verify, read and align one episode."""
        folder = item.key.removesuffix(MANIFEST_NAME)
        there = {
            stored.key.removeprefix(folder): stored.size_bytes
            for stored in self._store.list(folder)
        }
        with tempfile.TemporaryDirectory(prefix='lwd-ingest-') as temporary:
            bag = Path(temporary) / manifest.episode_id
            bag.mkdir()
            for file in manifest.files:
                if there.get(file.name) != file.size_bytes:
                    raise DamagedEpisodeError(
                        f'{file.name} has {there.get(file.name, "no")} bytes in the store, '
                        f'the manifest says {file.size_bytes}'
                    )
                self._store.get_file(f'{folder}{file.name}', bag / file.name)
                if (found := sha256_of(bag / file.name)) != file.sha256:
                    raise DamagedEpisodeError(
                        f'{file.name} has sha256 {found}, the manifest says {file.sha256}'
                    )
            streams = read_streams(
                bag, manifest.robot_id, manifest.episode_id, self._profile, self._config.limits
            )
        frames = align(manifest, streams, self._profile, self._config.align)
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


def _lock(replay: Replay) -> IO[bytes] | None:
    """Hold the replay's writer lock; a replay on an object store has none."""
    if '://' in replay.uri:
        return None
    path = Path(replay.uri) / 'ingest.lock'
    file = path.open('ab')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ReplayError(
            f'another ingest writes to {replay.uri} (it holds {path}); stop it, or use another replay'
        ) from None
    return file
