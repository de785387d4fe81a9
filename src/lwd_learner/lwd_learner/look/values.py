"""V and Q along an episode, by the critic of a checkpoint: what the learner thinks of each moment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lwd_policy_node.policy import Policy, PolicyError

from lwd_learner.algorithms import METHODS
from lwd_learner.algorithms.divl import DivlConfig, state_value
from lwd_learner.replay import Replay, ReplayError, Transitions
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.training.batches import to_tensors
from lwd_learner.training.checkpoint import CheckpointError, load_identity, load_progress
from lwd_learner.training.critic import load_critic
from lwd_learner.training.features import FeatureCache


@dataclass(frozen=True, slots=True)
class Values:
    """Values at the rows of an episode where a transition starts."""

    rows: npt.NDArray[np.int64]
    """(N,) counted from the episode's first row."""
    v: npt.NDArray[np.float32]
    """(N,) the statistic of V that Q bootstrapped from in the stage that the checkpoint is of."""
    q: npt.NDArray[np.float32]
    """(N,) least head of Q for the executed chunk."""


def statistic_of(checkpoint: Path) -> DivlConfig:
    """How the run of a checkpoint read V in the stage that trained it last.

    Raises:
        ReplayError: the folder does not say.
    """
    saved = load_identity(checkpoint)
    if saved is None:
        raise ReplayError(
            f'{checkpoint} does not say how its run read V: it has no identity.json; copy checkpoints whole, '
            'and give one of a run that this version began or resumed'
        )
    try:
        progress, under_way = load_progress(checkpoint)
    except (OSError, CheckpointError) as error:
        raise ReplayError(f'{checkpoint} does not say of which stage it is: {error}') from error
    under_way_online = progress.stage == 'online' and under_way is not None
    try:
        config = saved['config']
        online = under_way_online or (
            progress.stage in ('final', 'done') and config['online-minutes'] > 0
        )
        divl = {
            field.name: config[f'divl.{field.name}'.replace('_', '-')]
            for field in fields(DivlConfig)
        }
        divl['tau_base'] = config['online.tau-base' if online else 'offline.tau-base']
        if METHODS[config['algorithm']].expectile:
            divl['statistic'] = 'expectile'
    except KeyError as error:
        raise ReplayError(
            f'{checkpoint} does not say how its run read V: its identity.json, of another version, lacks {error}; '
            'give a checkpoint of a run that this version began or resumed'
        ) from error
    return DivlConfig(**divl)


@torch.no_grad()
def values_along(replay: Replay, dataset: str, episode: EpisodeFacts, checkpoint: Path) -> Values:
    """Values by the EMA critic of a checkpoint folder (policy.safetensors and learner.safetensors).

    Raises:
        ReplayError: the folder holds no such checkpoint, or it is of another robot than the replay.
    """
    try:
        policy = Policy.load(checkpoint / 'policy.safetensors')
        critic = load_critic(checkpoint / 'learner.safetensors', policy.config)
        how = statistic_of(checkpoint)
    except ReplayError:
        raise
    except (OSError, ValueError, PolicyError) as error:
        raise ReplayError(
            f'{checkpoint}: no checkpoint with a critic: {error}; give a folder below checkpoints/ of a run'
        ) from error
    policy.eval()
    sizes = (policy.config.state_dim, policy.config.action_dim)
    layout = replay.layout
    if sizes != (len(layout.state_columns), len(layout.joint_names)):
        raise ReplayError(
            f'{checkpoint} is for states and actions of {sizes}, the replay has '
            f'{(len(layout.state_columns), len(layout.joint_names))}; give a checkpoint of profile {layout.profile}'
        )
    transitions = Transitions(replay, policy.config.horizon)
    starts = transitions.starts(dataset, episode.start)
    starts = starts[starts < episode.stop]
    if len(starts) == 0:
        return Values(starts, np.empty(0, np.float32), np.empty(0, np.float32))
    batch = to_tensors(
        transitions.read(replay.global_rows(dataset, starts)),
        replay,
        policy,
        FeatureCache(replay, policy),
    )
    readout = critic.readout(batch.features, batch.text, batch.state)
    logits = critic.value_logits(readout)
    return Values(
        rows=starts - episode.start,
        v=state_value(logits, how).numpy(),
        q=critic.q(readout, batch.chunk, batch.steps).amin(0).numpy(),
    )
