"""`ros2 run lwd_learner replay`: look at a replay, and tidy it."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from lwd_recorder.paths import lwd_home
from rich.console import Console
from rich.table import Table

from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.stats import replay_stats


def default_replay() -> str:
    """``$LWD_HOME/train/replay``."""
    return str(lwd_home() / 'train' / 'replay')


@dataclass(frozen=True, slots=True)
class Stats:
    """Episodes, hours, labels and sources, by data set, task, kind and robot."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Merge the small files that appends leave. Safe while ingest and learners run."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder."""
    json: bool = False
    """Print one JSON object."""


Command = (
    Annotated[Stats, tyro.conf.subcommand('stats')]
    | Annotated[Compact, tyro.conf.subcommand('compact')]
)


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    command: Stats | Compact = tyro.cli(Command, args=args, prog='ros2 run lwd_learner replay')
    try:
        replay = Replay.open(Path(command.dir) if '://' not in command.dir else command.dir)
        if isinstance(command, Compact):
            replay.compact()
        stats = replay_stats(replay)
    except (ReplayError, OSError) as error:
        print(f'replay: {error}', file=sys.stderr)
        return 1
    if command.json:
        print(json_module.dumps(stats))
    elif isinstance(command, Compact):
        print(f'{replay.uri}: compacted, snapshot {replay.snapshot()}')
    else:
        _print(stats, Console())
    return 0


def _print(stats: dict[str, Any], console: Console) -> None:
    console.print(
        f'[bold]{stats["uri"]}[/]  profile {stats["profile"]}, {stats["control_rate_hz"]:g} Hz, '
        f'cameras {", ".join(stats["cameras"])}'
    )
    for name, data in stats['datasets'].items():
        console.print(
            f'\n[bold]{name}[/] version {data["version"]}: {data["episodes"]} episodes, '
            f'{data["frames"]} frames ({data["hours"]:.2f} h), {data["images"]} images, '
            f'{data["starts"]} transition starts, {data["gaps"]} gaps'
        )
        if not data['episodes']:
            continue
        table = Table()
        for column in ('', 'episodes', 'success', 'hours', 'human'):
            table.add_column(column, justify='left' if column == '' else 'right')
        for by in ('task', 'kind', 'robot'):
            for key, row in sorted(data[f'by_{by}'].items()):
                table.add_row(
                    f'{by} {key}',
                    str(row['episodes']),
                    f'{row["success"] / row["episodes"]:.0%}',
                    f'{row["hours"]:.2f}',
                    f'{row["human_hours"] / max(row["hours"], 1e-9):.0%}',
                )
        for version, row in sorted(
            data['success_by_version'].items(), key=lambda item: int(item[0])
        ):
            table.add_row(f'policy {version}', str(row['n']), f'{row["k"] / row["n"]:.0%}', '', '')
        console.print(table)


if __name__ == '__main__':
    sys.exit(main())
