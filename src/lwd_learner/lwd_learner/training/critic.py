"""The critic of a learner's checkpoint."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from lwd_policy_node.policy import PolicyConfig
from lwd_policy_node.policy.critic import Critic


def load_critic(path: Path, config: PolicyConfig) -> Critic:
    """The EMA critic of a learner checkpoint (`learner.safetensors`).

    Raises:
        ValueError: the file holds no critic, or one of another shape.
    """
    prefix = 'critic_ema.'
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in safetensors.torch.load_file(str(path)).items()
        if name.startswith(prefix)
    }
    if not tensors:
        raise ValueError(f'{path} holds no critic: give the learner.safetensors of a checkpoint')
    heads = 1 + max(int(name.split('.')[1]) for name in tensors if name.startswith('heads.'))
    hidden, atoms = tensors['trunk.0.weight'].shape[0], tensors['value.2.weight'].shape[0]
    critic = Critic(config, hidden, heads, atoms)
    try:
        critic.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f'{path}: the critic does not fit the policy: {error}') from error
    return critic.eval()
