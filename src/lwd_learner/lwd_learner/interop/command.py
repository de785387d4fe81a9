"""`ros2 run lwd_learner replay export`: a replay for other people's tools."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lwd_learner.interop.lerobot.export import ExportConfig, export_lerobot
from lwd_learner.replay.place import default_replay, open_replay


@dataclass(frozen=True, slots=True)
class Export:
    """Write a replay, or a part of it, as a LeRobotDataset v3.0."""

    out: tyro.conf.Positional[Path]
    """The folder to make; it must not exist."""
    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder, or s3://bucket/prefix."""
    format: Literal['lerobot'] = 'lerobot'
    """LeRobotDataset v3.0: parquet, mp4, meta."""
    config: ExportConfig = field(default_factory=ExportConfig)
    """What is exported, and how."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Write it and say what was written."""
        with progress_bar(self.json) as progress:
            bar = progress.add_task('episodes', total=None)
            done = export_lerobot(
                open_replay(self.dir),
                self.out,
                self.config,
                lambda done, total: progress.update(bar, completed=done, total=total),
            )
        if self.json:
            print(json_module.dumps(asdict(done)))
        else:
            print(
                f'{done.path}: {done.episodes} episodes as {done.lerobot_episodes} without gaps, {done.frames} frames'
                + (f'; {done.left_out} rows without pictures left out' if done.left_out else '')
            )
        return 0


def progress_bar(quiet: bool) -> Progress:
    """A bar on stderr where somebody watches."""
    console = Console(stderr=True)
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )
