"""How a checkpoint acts in evaluation: one sample, or the best of n by the critic."""

from __future__ import annotations

from pathlib import Path

import safetensors
from lwd_policy_node.policy import Policy

from lwd_learner.algorithms import METHODS
from lwd_learner.evaluation.rollout import ActFunction
from lwd_learner.training.critic import load_critic


def load_actor(policy_path: Path, critic_path: Path | None, best_of: int) -> ActFunction:
    """The policy as a function of observation and seed.

    Args:
        policy_path: a checkpoint.
        critic_path: the learner's state that holds the critic; needed for best_of > 1.
        best_of: samples per plan; the one with the largest Q is executed.

    Raises:
        ValueError: the file holds no critic, one of another shape, or one that was never trained.
    """
    policy = Policy.load(policy_path)
    if best_of <= 1 or critic_path is None:
        return lambda obs, seed: policy.act(obs, seed)
    refuse_untrained(critic_path)
    critic = load_critic(critic_path, policy.config)
    return lambda obs, seed: policy.act_best([obs], [seed], critic, best_of)[0]


def refuse_untrained(critic_path: Path) -> None:
    """Raise ValueError if the critic beside a checkpoint is as random as it began: its best of n would say nothing."""
    try:
        with safetensors.safe_open(str(critic_path), framework='pt') as file:
            header = dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(
            f'{critic_path} cannot be read ({error}); give CHECKPOINT/learner.safetensors'
        ) from error
    name = header.get('algorithm', 'lwd')
    if int(header.get('step', '0')) == 0 or not METHODS[name].values:
        raise ValueError(
            f'{critic_path}: this critic was never trained ({name}, step {header.get("step", 0)}); give one of an '
            'offline or online checkpoint of a method with values'
        )
