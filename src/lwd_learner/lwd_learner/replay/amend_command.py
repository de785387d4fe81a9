"""`ros2 run lwd_learner replay relabel|prune|amendments`: what a person, or a retention policy, changes afterwards."""

from __future__ import annotations

import json as json_module
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

import tyro

from lwd_learner.replay.choice import EpisodeChoice
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.layout import DATASETS, ReplayError
from lwd_learner.replay.place import default_replay, open_replay
from lwd_learner.replay.replay import Replay


@dataclass(frozen=True, slots=True)
class Relabel:
    """Correct the outcome of episodes. A new version: learners see it at their next refresh, the old one is kept."""

    episode: tyro.conf.Positional[tuple[str, ...]]
    """Episode ids."""
    outcome: Literal['success', 'failure', 'aborted', 'unknown']
    """How they really ended."""
    dir: str = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    why: str = ''
    """For whoever reads `replay amendments` later."""
    by: str = ''
    """Who says so; default the user."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Commit the amendments and say what changed."""
        replay = open_replay(self.dir)
        before = len(replay.amendments())
        version = replay.relabel(self.episode, self.outcome, by=self.by, why=self.why)
        changed = replay.amendments()[before:]
        if self.json:
            print(
                json_module.dumps(
                    {'version': version, 'changed': [asdict(one) for one in changed]}
                )
            )
            return 0
        for one in changed:
            print(f'{one.episode_id}: {one.before} -> {one.outcome}')
        print(f'{len(changed)} of {len(self.episode)} changed; amendments version {version}')
        return 0


@dataclass(frozen=True, slots=True)
class Prune:
    """Take episodes out of a replay by a policy; without `--yes` only say which."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    episode: tuple[str, ...] = ()
    """These episodes."""
    dataset: tuple[Literal['offline', 'online'], ...] = ('offline', 'online')
    """Data sets to prune in."""
    choice: EpisodeChoice = field(default_factory=EpisodeChoice)
    """Which episodes may go."""
    keep_hours: float = 0.0
    """Keep the newest of each task, up to so many hours of what may go."""
    yes: bool = False
    """Do it. Images are deleted by the next `replay compact`, and their bytes an hour after that."""
    why: str = ''
    """For whoever reads `replay amendments` later."""
    by: str = ''
    """Who says so; default the user."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Prune, or say what would be pruned."""
        if not self.episode and self.choice == EpisodeChoice() and not self.keep_hours:
            raise ReplayError(
                'nothing says what may go: name an --episode, choose some (--task, --until, --policy-below, ...), '
                'or give --keep-hours'
            )
        replay = open_replay(self.dir)
        going = self.goes(replay)
        hours = sum(facts.stop - facts.start for facts in going) * replay.layout.period_s / 3600
        ids = [facts.episode_id for facts in going]
        version = replay.snapshot()['amendments']
        if self.yes:
            version = replay.prune(ids, by=self.by, why=self.why)
        if self.json:
            print(
                json_module.dumps(
                    {'episodes': ids, 'hours': hours, 'pruned': self.yes, 'version': version}
                )
            )
            return 0
        for facts in going:
            print(
                f'{facts.episode_id}  {facts.task}  {facts.kind}  {facts.outcome}  {_date(facts)}'
            )
        said = 'pruned' if self.yes else 'would be pruned; repeat with --yes'
        print(f'{len(ids)} episodes, {hours:.2f} h, {said}')
        return 0

    def goes(self, replay: Replay) -> list[EpisodeFacts]:
        """The episodes that the policy takes out, in order of arrival.

        Raises:
            ReplayError: an episode that was named is not there.
        """
        for episode_id in self.episode:
            replay.find(episode_id)
        may_go = [
            facts
            for name in DATASETS
            if name in self.dataset
            for facts in replay.kept(name)
            if self.choice.accepts(facts)
            and (not self.episode or facts.episode_id in self.episode)
        ]
        kept_s: dict[str, float] = defaultdict(float)
        stay = set()
        for facts in sorted(may_go, key=lambda facts: facts.ended_wall_s, reverse=True):
            kept_s[facts.task] += (facts.stop - facts.start) * replay.layout.period_s
            if kept_s[facts.task] <= 3600 * self.keep_hours:
                stay.add(facts.episode_id)
        return [facts for facts in may_go if facts.episode_id not in stay]


@dataclass(frozen=True, slots=True)
class Amendments:
    """List what was changed afterwards, oldest first."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print them."""
        replay = open_replay(self.dir)
        entries = replay.amendments()
        if self.json:
            print(json_module.dumps([asdict(entry) for entry in entries]))
            return 0
        for entry in entries:
            when = datetime.fromtimestamp(entry.at_wall_s, UTC).isoformat(timespec='seconds')
            what = f'{entry.before} -> {entry.outcome}'
            if entry.pruned:
                what = 'images deleted' if entry.freed else 'pruned'
            print(f'{when}  {entry.by}  {entry.episode_id}: {what}  {entry.why}'.rstrip())
        print(f'{len(entries)} amendments, version {replay.snapshot()["amendments"]}')
        return 0


def _date(facts: EpisodeFacts) -> str:
    if not facts.ended_wall_s:
        return 'of unknown date'
    return datetime.fromtimestamp(facts.ended_wall_s, UTC).isoformat(timespec='minutes')
