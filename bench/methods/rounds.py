"""An online round's episodes: delivered to the method's store and ingested, as a fleet's are."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from lwd_learner.evaluation.rollout import ActFunction
from lwd_learner.replay import Replay
from lwd_policy_node.policy import Policy
from lwd_policy_node.profile import load_profile
from lwd_recorder.delivery.deliver import deliver
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest
from lwd_recorder.store import open_store
from lwd_sim.data.episode_bag import Plan
from lwd_sim.operator import Skill
from lwd_sim.world import World

from bench.methods.buffer import take_in
from bench.methods.config import ROLL_OUT_SEED0, CompareConfig
from bench.methods.roll_out import roll_out

ROBOT = 'robot_01'


def scene_seeds(config: CompareConfig, seed: int, round_: int) -> range:
    """Scenes of a round: the same for all methods of a seed, never those of another round, seed or purpose."""
    first = ROLL_OUT_SEED0 + 1_000_000 * seed + 10_000 * round_
    return range(first, first + config.round_episodes)


def forget_later(config: CompareConfig, folder: Path, seed: int, round_: int) -> None:
    """Remove what a former attempt left in a method's folder from after a round's beginning: other policies acted it.

    What is there of the round itself is kept: the policy that acts it is the one of the round before, so that a run
    that was interrupted goes on. Of round 0 nothing is kept.
    """
    if round_ == 0:
        for old in (folder / 'data', folder / 'store', *folder.glob('checkpoints/round_*')):
            shutil.rmtree(old, ignore_errors=True)
        return
    first_later = scene_seeds(config, seed, round_ + 1).start
    later = [
        episode
        for episode in folder.glob(f'store/robots/{ROBOT}/episodes/*/*')
        if int(episode.name.rsplit('-', 1)[1]) >= first_later
    ]
    if later:
        shutil.rmtree(folder / 'data', ignore_errors=True)  # first: it is made again of the store
    for episode in later:
        shutil.rmtree(episode)


def act_round(
    config: CompareConfig,
    world: World,
    policy: Path,
    task: str,
    seed: int,
    round_: int,
    store: Path,
) -> dict[str, Any]:
    """Let a policy act a round's episodes that the store does not hold; answers what came of all of them."""
    there = open_store(str(store))
    present = {
        found.key.split('/')[-2]: found.key
        for found in there.list(f'robots/{ROBOT}/episodes/')
        if found.key.endswith(f'/{MANIFEST_NAME}')
    }
    acting = Policy.load(policy)

    def act(observation: Any, noise: int) -> Any:
        return acting.act(observation, noise)

    manifests = []
    for scene in scene_seeds(config, seed, round_):
        plan = Plan(
            f'{ROBOT}-{task}-{scene}', ROBOT, task, scene, 'trained', 'rollout', Skill.expert()
        )
        if plan.episode_id in present:
            manifests.append(EpisodeManifest.from_json(there.read_bytes(present[plan.episode_id])))
        else:
            manifests.append(_one(config, world, act, plan, round_, store))
    return summary(manifests)


def summary(manifests: list[EpisodeManifest]) -> dict[str, Any]:
    """Counts of a round: with the operator's help, and without."""
    seconds = sum(m.ended_s - m.started_s for m in manifests)
    alone = [m for m in manifests if m.takeovers == 0]
    return {
        'episodes': len(manifests),
        'successes': sum(m.outcome == 'success' for m in manifests),
        'successes_alone': sum(m.outcome == 'success' for m in alone),
        'takeovers': sum(m.takeovers for m in manifests),
        'human_share': round(sum(m.human_s for m in manifests) / seconds, 4) if seconds else 0.0,
    }


def grown_replay(config: CompareConfig, buffer: Path, folder: Path, store: Path) -> Replay:
    """The method's replay: a copy of the buffer's, with everything of its own store ingested into the online part."""
    grown = folder / 'data'
    if not (grown / 'ingest.jsonl').exists():
        partial = folder / '.data.partial'
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(buffer, partial)
        partial.replace(grown)
    return take_in(store, grown, config.profile)


def _one(
    config: CompareConfig, world: World, act: ActFunction, plan: Plan, round_: int, store: Path
) -> EpisodeManifest:
    scratch = Path(tempfile.mkdtemp(prefix='lwd_methods_'))
    try:
        folder = scratch / plan.episode_id
        roll_out(world, act, plan, round_, config.profile, folder)
        return deliver(open_store(str(store)), folder).manifest
    finally:
        shutil.rmtree(scratch)


def robot_world(config: CompareConfig) -> World:
    """A simulated robot with cameras."""
    return World(load_profile(config.profile))
