"""The untrained policy of a run."""

from __future__ import annotations

from dataclasses import replace

from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.policy.config import ADVANTAGE_WORDS
from lwd_policy_node.profile import RobotProfile

from lwd_learner.training.config import TrainConfig


def new_policy(config: TrainConfig, profile: RobotProfile, label_dim: int) -> Policy:
    """A policy of the configured size with what the method needs: edits, or advantages.

    Args:
        config: preset and algorithm.
        profile: the robot.
        label_dim: simulator labels for the encoder's auxiliary loss.
    """
    shape = preset(config.preset, profile, label_dim=label_dim, edit=config.method.tilts)
    if config.method.tilts and config.qam.action_edit:
        shape = replace(shape, action_edit=config.qam.action_edit)
    if not config.method.conditions:
        return Policy(shape)
    policy = Policy(replace(shape, guidance=config.recap.beta))
    policy.advantage_words.copy_(policy.sentences.embed(ADVANTAGE_WORDS))
    return policy
