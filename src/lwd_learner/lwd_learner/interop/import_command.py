"""`ros2 run lwd_learner replay import-lerobot|import-bags`: other people's data as offline data."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import tyro
from lwd_policy_node.profile import ProfileError, RobotProfile, load_profile
from lwd_recorder.manifest import file_record

from lwd_learner.interop.command import progress_bar
from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.frames import to_frames
from lwd_learner.interop.importing import UNFORESEEN, Imported, Pending, import_episodes
from lwd_learner.interop.labels import Label, read_labels
from lwd_learner.interop.lerobot.foreign import foreign_id, raw_episode
from lwd_learner.interop.lerobot.reader import LeRobotReader, SourceEpisode
from lwd_learner.interop.lerobot.restore import exported_episodes, restore
from lwd_learner.interop.mapping import ImportMapping, OutcomeRule, load_mapping
from lwd_learner.interop.rosbag.reader import bag_files, bag_id, raw_bag
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.lock import writer_lock
from lwd_learner.replay.place import default_replay
from lwd_learner.replay.replay import Replay

Outcome = Literal['', 'success', 'failure', 'aborted', 'unknown']


@dataclass(frozen=True, slots=True)
class ImportLerobot:
    """Take a LeRobotDataset v3 from a local folder; an export of ours needs no mapping."""

    source: tyro.conf.Positional[Path]
    """The data set's folder: it holds meta/info.json."""
    dir: str = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix; made if it is absent."""
    mapping: Path | None = None
    """YAML: which columns are joints, cameras, verdict."""
    labels: Path | None = None
    """With a mapping: CSV with episode, outcome, task, instruction; episode is its number."""
    outcome: Outcome = ''
    """With a mapping: verdict of all episodes that no label file judges."""
    jpeg_quality: int = 95
    """Of an export's pictures; a mapping has its own."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Import; 1 if an episode was refused."""
        reader = LeRobotReader(self.source)
        if self.mapping is None:
            if reader.layout is None:
                raise InteropError(
                    f'{self.source} is no export of ours: give a --mapping (docs/interop.md has examples)'
                )
            self._refuse_verdicts()
            profile = _profile(str(reader.layout['profile']))
            ours = list(exported_episodes(reader))
            exported: list[Pending] = [
                (episode_id, partial(restore, reader, stretches, profile, self.jpeg_quality))
                for episode_id, stretches in ours
            ]
            return _import(self.dir, profile, exported, len(exported), as_json=self.json)
        mapping = _judged(load_mapping(self.mapping), self.outcome)
        profile = _profile(mapping.profile)
        labels = read_labels(self.labels) if self.labels else {}
        episodes = reader.episodes()
        pending = (_foreign(reader, episode, mapping, labels, profile) for episode in episodes)
        return _import(self.dir, profile, pending, len(episodes), as_json=self.json)

    def _refuse_verdicts(self) -> None:
        given = {'--outcome': self.outcome, '--labels': self.labels}
        if names := [name for name, value in given.items() if value]:
            raise InteropError(
                f'{" and ".join(names)}: an export of ours brings its verdicts along; import it without, and correct '
                'them with replay relabel'
            )


@dataclass(frozen=True, slots=True)
class ImportBags:
    """Take plain rosbag2 bags (MCAP or SQLite), an episode each."""

    source: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of bags, or folders that hold such."""
    mapping: Path
    """YAML: which topics are joints and cameras."""
    dir: str = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix; made if it is absent."""
    labels: Path | None = None
    """CSV with episode, outcome, task, instruction; episode is the bag's folder name."""
    outcome: Outcome = ''
    """Verdict of all bags that no label file judges."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Import; 1 if a bag was refused."""
        mapping = _judged(load_mapping(self.mapping), self.outcome)
        profile = _profile(mapping.profile)
        labels = read_labels(self.labels) if self.labels else {}
        bags = sorted({bag for source in self.source for bag in _bags(source)})
        if not bags:
            raise InteropError(
                f'no bag in {", ".join(map(str, self.source))}: a folder with metadata.yaml'
            )
        pending = (_bag(bag, mapping, labels.get(bag.name, Label()), profile) for bag in bags)
        return _import(self.dir, profile, pending, len(bags), as_json=self.json)


def _foreign(
    reader: LeRobotReader,
    episode: SourceEpisode,
    mapping: ImportMapping,
    labels: dict[str, Label],
    profile: RobotProfile,
) -> Pending:
    try:
        episode_id = foreign_id(mapping.robot_id, reader, episode)
    except (InteropError, *UNFORESEEN) as error:
        return f'{reader.name}, episode {episode.number}', partial(_refuse, error)

    def read() -> EpisodeFrames:
        label = labels.get(str(episode.number), Label())
        file = file_record(reader.data_path(episode))
        raw = raw_episode(episode_id, reader, episode, mapping, label, file)
        return to_frames(raw, mapping, profile)

    return episode_id, read


def _bag(bag: Path, mapping: ImportMapping, label: Label, profile: RobotProfile) -> Pending:
    try:
        files = bag_files(bag)
    except (InteropError, OSError) as error:
        return str(bag), partial(_refuse, error)

    def read() -> EpisodeFrames:
        return to_frames(raw_bag(bag, mapping, label, files), mapping, profile)

    return bag_id(mapping.robot_id, bag, files), read


def _refuse(error: Exception) -> NoReturn:
    raise error


def _bags(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise InteropError(f'no {source}')
    yield from (path.parent for path in source.rglob('metadata.yaml'))


def _judged(mapping: ImportMapping, outcome: str) -> ImportMapping:
    return replace(mapping, outcome=OutcomeRule(outcome)) if outcome else mapping


def _profile(name: str) -> RobotProfile:
    try:
        return load_profile(name)
    except ProfileError as error:
        raise InteropError(str(error)) from error


def _import(
    uri: str, profile: RobotProfile, pending: Iterable[Pending], total: int, *, as_json: bool
) -> int:
    replay = Replay.create(uri, profile)
    lock = writer_lock(replay.uri)
    try:
        with progress_bar(as_json) as progress:
            bar = progress.add_task('episodes', total=total)
            result = import_episodes(replay, pending, lambda: progress.advance(bar))
    finally:
        if lock is not None:
            lock.close()
    _report(replay, result, as_json=as_json)
    return 1 if result.refused else 0


def _report(replay: Replay, result: Imported, *, as_json: bool) -> None:
    if as_json:
        print(json_module.dumps({'uri': replay.uri, **asdict(result)}))
        return
    for episode_id, reason in result.refused.items():
        print(f'{episode_id} refused: {reason}', file=sys.stderr)
    print(
        f'{result.taken} episodes taken ({result.frames} frames), {result.known} were there, '
        f'{len(result.refused)} refused; {replay.uri}'
    )
