"""How well a critic tells success from failure on episodes that nothing learned from, by episode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from lwd_learner.replay import Replay, Transitions
from lwd_learner.training.batches import to_tensors
from lwd_learner.training.critic import Critic
from lwd_learner.training.features import FeatureCache
from lwd_policy_node.policy import Policy

FIRST_S = 1.0
"""The beginning of an episode, where nothing is decided yet."""


def auc(score: npt.NDArray[np.floating], won: npt.NDArray[np.bool_]) -> float | None:
    """Share of (won, lost) pairs in the right order, ties half; None without a pair. Both (E,)."""
    pairs = score[won][:, None] - score[~won][None, :]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0))) if pairs.size else None


@torch.no_grad()
def held_out_auc(
    critic: Critic, replay: Replay, policy: Policy, features: FeatureCache
) -> dict[str, float | None]:
    """AUC of the mean Q of executed chunks: those that start in the first second, and later ones.

    Args:
        critic: its EMA, with the minimum over heads.
        replay: episodes of the offline part, none of which was trained on.
        policy: normalises.
        features: of this replay.
    """
    index = replay.index('offline')
    transitions = Transitions(replay, policy.config.horizon)
    starts = transitions.starts('offline')
    batch = to_tensors(
        transitions.read(replay.global_rows('offline', starts)), replay, policy, features
    )
    readout = critic.readout(batch.features, batch.text, batch.state)
    q = critic.q(readout, batch.chunk, batch.steps).amin(0).numpy()
    episodes = replay.kept('offline')
    first, later, won = [], [], []
    for episode in episodes:
        mine = (starts >= episode.start) & (starts < episode.stop)
        age_s = index.stamp_s.data[starts] - index.stamp_s.data[episode.start]
        early, late = mine & (age_s < FIRST_S), mine & (age_s >= FIRST_S)
        if early.any() and late.any():
            first.append(q[early].mean())
            later.append(q[late].mean())
            won.append(episode.won)
    truth = np.array(won, np.bool_)
    return {
        'auc_first_second': auc(np.array(first), truth),
        'auc_later': auc(np.array(later), truth),
        'episodes': float(len(won)),
    }
