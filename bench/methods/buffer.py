"""The offline buffer of a task, and the episodes kept from all learning: scripted bags, taken in by ingest."""

from __future__ import annotations

from pathlib import Path

from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay
from lwd_policy_node.profile import load_profile
from lwd_recorder.store import open_store
from lwd_sim.data.make_data import Options, make
from rich.console import Console

from bench.methods.config import DEMONSTRATION_SEED0, HELD_OUT_SEED0, CompareConfig


class IngestFailedError(RuntimeError):
    """An episode did not reach the replay; the message names it and the reason."""


def offline_store(config: CompareConfig, task: str) -> Path:
    """Folder of the buffer's bags, made where they are missing."""
    store = config.folder / 'store' / task
    _make(config, store, task, config.demonstrations, DEMONSTRATION_SEED0, 'noisy')
    if config.play:
        _make(config, store, task, config.play, DEMONSTRATION_SEED0, 'play')
    return store


def held_out_replay(config: CompareConfig, task: str) -> Replay:
    """Replay of episodes that nothing learns from."""
    store = config.folder / 'store' / f'{task}_held_out'
    _make(config, store, task, config.held_out, HELD_OUT_SEED0, 'noisy')
    return take_in(store, config.folder / 'held_out' / task, config.profile)


def take_in(store: Path, folder: Path, profile_name: str) -> Replay:
    """Ingest what a store holds into `folder`/replay.

    Raises:
        IngestFailedError: something was quarantined, or the store failed.
    """
    profile = load_profile(profile_name)
    replay = Replay.create(folder / 'replay', profile)
    ingest = Ingest(open_store(str(store)), replay, profile, folder / 'ingest.jsonl')
    try:
        bad = [r for r in ingest.poll() if r.quarantined is not None]
        if bad or ingest.trouble:
            reason = ingest.trouble or f'{bad[0].episode_id}: {bad[0].quarantined}'
            raise IngestFailedError(f'{store}: {reason}')
    finally:
        ingest.close()
    return replay


def _make(
    config: CompareConfig, store: Path, task: str, episodes: int, seed0: int, skill: str
) -> None:
    options = Options(
        task=task,
        episodes=episodes,
        skill=skill,  # type: ignore[arg-type]
        out=str(store),
        profile=config.profile,
        robot_id='play_01' if skill == 'play' else 'demo_01',
        seed0=seed0,
        workers=config.workers,
        json=True,
    )
    make(options, Console(stderr=True))
