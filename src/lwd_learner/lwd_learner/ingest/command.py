"""`ros2 run lwd_learner ingest`: take what a store holds into a replay, once or for as long as it runs."""

from __future__ import annotations

import json as json_module
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro
from lwd_policy_node.places import default_store, lwd_home
from lwd_policy_node.profile import ProfileError, load_profile
from lwd_policy_node.stop_signal import StopSignal
from lwd_recorder.bag.schema import SchemaError
from lwd_recorder.store import StoreError, open_store
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lwd_learner.heap import limit_arenas
from lwd_learner.ingest.bag_messages import MAX_EPISODE_BYTES, BagLimits
from lwd_learner.ingest.ingest import Ingest, IngestConfig
from lwd_learner.ingest.journal import IngestResult
from lwd_learner.ingest.streams import StreamLimits
from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.place import default_replay
from lwd_learner.replay.replay import Replay, ReplayConfig


def default_journal() -> Path:
    """``$LWD_HOME/train/ingest.jsonl``."""
    return lwd_home() / 'train' / 'ingest.jsonl'


@dataclass(frozen=True, slots=True)
class IngestCommand:
    """Take each committed episode of a store into a replay, exactly once; set damaged ones aside."""

    store: str = field(default_factory=default_store)
    """Where robots upload to: a folder or s3://bucket/prefix; default $LWD_STORE, or else $LWD_HOME/store."""
    replay: str = field(default_factory=default_replay)
    """The replay's folder; made if it is absent."""
    journal: Path = field(default_factory=default_journal)
    """One JSON line for each manifest dealt with."""
    profile: str = 'g1_laptop'
    """Robot profile, by name or path of a YAML."""
    training_size: tuple[int, int] | None = None
    """Re-encode images to this width and height; by default to the profile's `policy_image`, and where it has none the
    robot's JPEGs are stored as they are."""
    verify_every: int = 30
    """Decode one in so many images of a camera; 1 for all (14 times real time at 640x480), 0 for none."""
    max_episode_bytes: int = MAX_EPISODE_BYTES
    """An episode of more bytes is quarantined."""
    follow: bool = False
    """Go on watching the store until interrupted."""
    period_s: float = 0.25
    """Time between looks into the store when following, s."""
    json: bool = False
    """Print one JSON object for each manifest dealt with."""


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0 even if episodes were quarantined, 1 if ingest could not run."""
    command = tyro.cli(IngestCommand, args=args, prog='ros2 run lwd_learner ingest')
    stop = StopSignal()
    limit_arenas()
    writes_only = ReplayConfig(jpeg_cache_bytes=0, low_dimensional_bytes=0, index_rows=False)
    try:
        profile = load_profile(command.profile)
        ingest = Ingest(
            open_store(command.store),
            Replay.create(command.replay, profile, writes_only),
            profile,
            command.journal,
            IngestConfig(
                limits=StreamLimits(
                    bag=BagLimits(max_bytes=command.max_episode_bytes),
                    training_size=command.training_size,
                    verify_every=command.verify_every,
                )
            ),
        )
    except (ProfileError, ReplayError, SchemaError, StoreError, OSError) as error:
        print(f'ingest: {error}', file=sys.stderr)
        return 1
    try:
        counts = _run(ingest, command, stop)
    finally:
        ingest.close()
    if not command.json:
        print(
            f'{counts["taken"]} episodes taken, {counts["duplicate"]} delivered again, '
            f'{counts["quarantined"]} quarantined; {command.replay}'
        )
    if ingest.trouble is not None and not command.follow:
        print(f'ingest: {ingest.trouble}', file=sys.stderr)
        return 1
    return 0


def _run(ingest: Ingest, command: IngestCommand, stop: StopSignal) -> Counter[str]:
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=command.json or not console.is_terminal,
    ) as progress:
        bar = progress.add_task('episodes', total=None)
        dealt_with = 0

        def on_result(result: IngestResult) -> None:
            nonlocal dealt_with
            dealt_with += 1
            counts[_fate(result)] += 1
            if command.json:
                print(json_module.dumps(asdict(result)), flush=True)
            elif result.quarantined is not None:
                progress.console.print(
                    f'quarantined {result.episode_id}: {result.quarantined}',
                    markup=False,
                    emoji=False,
                    soft_wrap=True,
                )
            progress.update(bar, completed=dealt_with)

        while not stop.is_set():
            ingest.poll(
                on_result, lambda waiting: progress.update(bar, total=dealt_with + waiting)
            )
            if not command.follow:
                break
            stop.wait(command.period_s)
    return counts


def _fate(result: IngestResult) -> str:
    if result.quarantined is not None:
        return 'quarantined'
    return 'duplicate' if result.duplicate else 'taken'


if __name__ == '__main__':
    sys.exit(main())
