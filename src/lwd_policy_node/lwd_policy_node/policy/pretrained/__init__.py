"""Vision towers that the package ships, pre-trained by ``ros2 run lwd_learner pretrain_vision``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from lwd_policy_node.policy.policy import Policy

LEFT_OUT = 'labels.'  # the read-out of the auxiliary loss belongs to a task


def shipped_path(preset: str) -> Path:
    """File of a preset's tower; it may not exist."""
    return Path(__file__).parent / f'{preset}_vision.safetensors'


def save_vision(policy: Policy, path: Path, facts: Mapping[str, str]) -> None:
    """Write the policy's vision encoder, bf16, with `facts` about how it was made."""
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in policy.encoder.state_dict().items()
        if not name.startswith(LEFT_OUT)
    }
    header = {'profile': policy.config.profile, 'preset': policy.config.preset, **facts}
    safetensors.torch.save_file(tensors, str(path), metadata=header)


def load_vision(policy: Policy) -> bool:
    """Put the shipped tower into the policy; False when none was made for its robot and has its shapes."""
    return any(
        _fits(policy, path) for path in sorted(Path(__file__).parent.glob('*_vision.safetensors'))
    )


def _fits(policy: Policy, path: Path) -> bool:
    """Load one file if it was made for these cameras and sizes."""
    with safetensors.safe_open(str(path), framework='pt') as file:
        if file.metadata()['profile'] != policy.config.profile:
            return False
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    here = {
        name: tensor
        for name, tensor in policy.encoder.state_dict().items()
        if not name.startswith(LEFT_OUT)
    }
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in here.items()}:
        return False
    policy.encoder.load_state_dict(tensors, strict=False)
    return True
