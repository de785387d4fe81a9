"""The policy that a run begins with, untrained or of a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from lwd_policy_node.policy import Policy, PolicyConfig, preset
from lwd_policy_node.profile import RobotProfile

from lwd_learner.training.config import TrainConfig

log = logging.getLogger('train')


def refuse_best_of(config: TrainConfig) -> None:
    """Raise ValueError if the policy is to choose between samples, and nothing would learn by what."""
    if config.best_of < 1:
        raise ValueError(f'best_of is {config.best_of}; it must be at least 1')
    if config.best_of > 1 and not config.method.values:
        raise ValueError(
            f'best_of {config.best_of}: {config.algorithm} learns no Q to choose by; refresh_only clones the same as '
            'filtered_bc and learns one'
        )


def new_policy(config: TrainConfig, profile: RobotProfile, label_dim: int) -> Policy:
    """A policy of the configured size with what the method needs: edits, advantages, a critic of its own.

    Args:
        config: preset and algorithm.
        profile: the robot.
        label_dim: simulator labels for the encoder's auxiliary loss.

    Raises:
        ValueError: `best_of` of a method without values.
    """
    refuse_best_of(config)
    shape = preset(config.preset, profile, label_dim=label_dim, edit=config.method.tilts)
    if config.method.tilts:
        shape = replace(_at_trained_steps(shape, config), action_edit=config.qam.action_edit)
    if config.best_of > 1:
        shape = replace(
            shape,
            best_of=config.best_of,
            critic_hidden=config.rl.critic_hidden,
            critic_heads=config.rl.critic_heads,
            critic_atoms=config.divl.atoms,
        )
    if config.method.conditions:
        shape = replace(shape, guidance=config.recap.beta)
    return Policy(shape)


def resumed_policy(path: Path, config: TrainConfig) -> Policy:
    """The policy of a checkpoint, sampled at the flow steps that its edit is trained at from now on.

    Args:
        path: policy.safetensors; it may be older than what its configuration says of these steps, or of another
            configuration.
        config: of the run that goes on.

    Raises:
        PolicyError: not a policy checkpoint.
    """
    policy = Policy.load(path)
    if config.method.tilts:
        was, policy.config = policy.config, _at_trained_steps(policy.config, config)
        changed = [
            f'{name} was {getattr(was, name)}, is {getattr(policy.config, name)}'
            for name in ('flow_steps', 'edit_last')
            if getattr(was, name) != getattr(policy.config, name)
        ]
        if changed:
            log.warning('the policy of %s goes on as it is trained: %s', path, '; '.join(changed))
    return policy


def _at_trained_steps(shape: PolicyConfig, config: TrainConfig) -> PolicyConfig:
    return replace(shape, flow_steps=config.qam.steps, edit_last=config.qam.euler)
