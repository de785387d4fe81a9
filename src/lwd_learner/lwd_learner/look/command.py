"""`ros2 run lwd_learner replay stats|show|lint`."""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tyro
from lwd_policy_node.profile import ProfileError, load_profile
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from lwd_learner.look.findings import Finding
from lwd_learner.look.lint import LintConfig, lint
from lwd_learner.look.rows import Limits
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.layout import DATASETS, ReplayError
from lwd_learner.replay.place import default_replay, open_replay
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.stats import replay_stats


@dataclass(frozen=True, slots=True)
class Stats:
    """Hours by task and source, labels, success by policy version, rates, gaps, duplicates, actions."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print the figures."""
        stats = replay_stats(open_replay(self.dir))
        if self.json:
            print(json_module.dumps(stats))
        else:
            _print_stats(stats, Console(markup=False, emoji=False))
        return 0


@dataclass(frozen=True, slots=True)
class Lint:
    """Look for what would teach something false; the exit code is 1 if there is an error."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    episode: str = ''
    """Only this episode, by its id, or `latest`."""
    task: str = ''
    """Only episodes of this task."""
    profile: str = ''
    """Robot profile with the joints' limits, by name or path; default the one that the replay names."""
    config: LintConfig = field(default_factory=LintConfig)
    """Thresholds."""
    json: bool = False
    """Print one JSON object: counts and findings."""

    def run(self) -> int:
        """Print the findings; 1 if one of them is an error."""
        replay = open_replay(self.dir)
        console = Console(stderr=True, markup=False, emoji=False)
        limits = _limits(replay, self.profile, console)
        asked = self._asked(replay)
        with Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            disable=self.json or not console.is_terminal,
        ) as progress:
            bar = progress.add_task('episodes', total=len(asked))
            found = lint(
                replay,
                limits,
                self.config,
                lambda facts: facts.episode_id in asked,
                lambda: progress.advance(bar),
            )
        counts = Counter(finding.level for finding in found)
        if self.json:
            print(
                json_module.dumps(
                    {
                        'uri': replay.uri,
                        'errors': counts['error'],
                        'warnings': counts['warning'],
                        'findings': [asdict(finding) for finding in found],
                    }
                )
            )
        else:
            _print_findings(found, Console(markup=False, emoji=False))
            print(f'{replay.uri}: {counts["error"]} errors, {counts["warning"]} warnings')
        return 1 if counts['error'] else 0

    def _asked(self, replay: Replay) -> set[str]:
        """Ids of the episodes to look at.

        Raises:
            ReplayError: an episode or a task that is not there.
        """
        kept = [facts for name in DATASETS for facts in replay.kept(name)]
        if self.episode:
            _, wanted = _find(replay, self.episode)
            if wanted.pruned:
                raise ReplayError(f'{wanted.episode_id} was pruned; lint looks at what is kept')
            kept = [wanted]
        asked = {facts.episode_id for facts in kept if self.task in ('', facts.task)}
        if self.task and not asked:
            raise ReplayError(f'{replay.uri}: no episode of task {self.task!r} to look at')
        return asked


@dataclass(frozen=True, slots=True)
class Show:
    """Write a strip of an episode's pictures with source, reward and values under them."""

    episode: tyro.conf.Positional[str]
    """Episode id, or `latest`."""
    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    out: Path | None = None
    """The picture, .png or .jpg; default EPISODE.png here."""
    frames: int = 12
    """Moments shown."""
    critic: Path | None = None
    """A checkpoint folder of a run (it holds learner.safetensors): draw its V and Q."""

    def run(self) -> int:
        """Write the picture and print its path."""
        from lwd_learner.look.strip import write_strip  # matplotlib takes a second

        replay = open_replay(self.dir)
        dataset, facts = _find(replay, self.episode)
        values = None
        if self.critic is not None:
            from lwd_learner.look.values import values_along  # torch takes two

            values = values_along(replay, dataset, facts, self.critic)
        out = self.out or Path(f'{facts.episode_id}.png')
        write_strip(replay, dataset, facts, out, self.frames, values)
        print(out)
        return 0


def _find(replay: Replay, episode_id: str) -> tuple[str, EpisodeFacts]:
    """The data set and facts of an episode.

    Raises:
        ReplayError: the replay does not hold it.
    """
    return latest(replay) if episode_id == 'latest' else replay.find(episode_id)


def latest(replay: Replay) -> tuple[str, EpisodeFacts]:
    """The data set and facts of the episode that ended last; without a date, of the one that came last.

    Raises:
        ReplayError: the replay is empty.
    """
    kept = [(name, facts) for name in DATASETS for facts in replay.kept(name)]
    if not kept:
        raise ReplayError(f'{replay.uri} holds no episode yet')
    number = max(range(len(kept)), key=lambda i: (kept[i][1].ended_wall_s, i))
    return kept[number]


def _limits(replay: Replay, profile: str, console: Console) -> Mapping[str, Limits] | None:
    """Joints of the profile, or None with a word of warning where a replay's own profile is not known here."""
    try:
        joints = {
            joint.name: joint for joint in load_profile(profile or replay.layout.profile).joints
        }
    except ProfileError as error:
        if profile:
            raise ReplayError(str(error)) from error
        console.print(f'lint: limits are not checked: {error}', style='yellow')
        return None
    missing = set(replay.layout.joint_names) - set(joints)
    if missing:
        raise ReplayError(
            f'profile {profile or replay.layout.profile!r} lacks the joints {", ".join(sorted(missing))} of '
            f'{replay.uri}; give the right one with --profile'
        )
    return joints


def _print_findings(found: list[Finding], console: Console) -> None:
    for finding in found:
        colour = 'red' if finding.level == 'error' else 'yellow'
        console.print(
            Text.assemble(
                (finding.level, colour),
                ' ',
                (finding.check, 'bold'),
                f' {finding.dataset} {finding.episode_id}: {finding.place}: {finding.value}',
            ),
            highlight=False,
            soft_wrap=True,
        )
        console.print(f'    {finding.remedy}', style='dim', highlight=False, soft_wrap=True)


def _print_stats(stats: dict[str, Any], console: Console) -> None:
    console.print(
        Text(stats['uri'], style='bold'),
        f' profile {stats["profile"]}, {stats["control_rate_hz"]:g} Hz, cameras {", ".join(stats["cameras"])}',
    )
    for name, data in stats['datasets'].items():
        console.print(
            Text(f'\n{name}', style='bold'),
            f'version {data["version"]}: {data["episodes"]} episodes, '
            f'{data["frames"]} frames ({data["hours"]:.2f} h), {data["images"]} images, '
            f'{data["starts"]} transition starts'
            + (f'; {data["pruned"]} episodes pruned' if data['pruned'] else ''),
        )
        if data['episodes']:
            console.print(
                f'{data["gaps"]} gaps, longest {data["longest_gap_s"]:.2f} s, {data["missing_s"]:.1f} s missing; '
                f'{len(data["duplicates"])} groups of equal episodes'
            )
            for group in data['duplicates']:
                console.print(f'  equal: {", ".join(group)}', style='red')
            for table in (_groups(data), _hours(data), _rates(data), _actions(data)):
                console.print(table)


def _groups(data: dict[str, Any]) -> Table:
    table = _table('', 'episodes', 'success', 'failure', 'no verdict', 'hours', 'human')
    for by in ('task', 'kind', 'robot'):
        for key, row in sorted(data[f'by_{by}'].items()):
            judged = row['success'] + row['failure']
            table.add_row(
                f'{by} {key}',
                str(row['episodes']),
                f'{row["success"] / row["episodes"]:.0%}',
                f'{row["failure"] / row["episodes"]:.0%}',
                f'{1 - judged / row["episodes"]:.0%}',
                f'{row["hours"]:.2f}',
                f'{row["human_hours"] / max(row["hours"], 1e-9):.0%}',
            )
    for version, row in sorted(data['success_by_version'].items(), key=lambda item: int(item[0])):
        table.add_row(f'policy {version}', str(row['n']), f'{row["k"] / row["n"]:.0%}')
    return table


def _hours(data: dict[str, Any]) -> Table:
    by_task = data['hours_by_task_and_source']
    sources = sorted({source for hours in by_task.values() for source in hours})
    table = _table('hours', *sources)
    for task, hours in sorted(by_task.items()):
        table.add_row(task, *(f'{hours.get(source, 0.0):.3f}' for source in sources))
    return table


def _rates(data: dict[str, Any]) -> Table:
    table = _table('Hz', 'lowest episode', 'median', 'highest')
    for name, row in data['rates_hz'].items():
        table.add_row(name, *(f'{row[key]:.2f}' for key in ('min', 'median', 'max')))
    return table


def _actions(data: dict[str, Any]) -> Table:
    keys = ('mean', 'std', 'min', 'q01', 'q99', 'max')
    table = _table('action', *keys)
    for joint, row in data['actions'].items():
        table.add_row(joint, *(f'{row[key]:.3f}' for key in keys))
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table()
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify='right')
    return table
