"""What a policy is made of: the part of a checkpoint that must match before its tensors mean
anything.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from lwd_policy_node.profile import RobotProfile, policy_facts

ADVANTAGE_WORDS = ('advantage: negative', 'advantage: positive')
"""What RECAP adds to an instruction."""
LATER = frozenset(
    {'edit_last', 'action_edit', 'best_of', 'critic_hidden', 'critic_heads', 'critic_atoms'}
)
"""Fields that checkpoints of the first release do not have."""
TEXT_WIDTH = 384
"""Width of the sentence embeddings (all-MiniLM-L6-v2)."""


class PolicyError(ValueError):
    """A policy, its checkpoint or an observation does not fit; the message names what and the
    remedy.
    """


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Shapes and sizes of a small VLA. Everything that changes a tensor's shape or its meaning."""

    preset: str
    """Name of the size: tiny, small or base."""
    profile: str
    """Robot profile that the policy was made for."""
    cameras: tuple[str, ...]
    """Camera names in the order of the image stack."""
    image_size: tuple[int, int]
    """Height and width of every camera's image, px."""
    state_dim: int
    """S, length of the state vector."""
    action_dim: int
    """A, length of the action vector."""
    horizon: int
    """H, steps of an action chunk."""
    relative_to_state: tuple[int, ...]
    """Per action joint: its column in the state that the chunk is relative to, or -1 for absolute
    (grippers).
    """
    control_rate_hz: float
    """Rate of the chunk's steps, Hz."""
    vision_width: int = 112
    """Features that each camera contributes to the prefix."""
    trunk_width: int = 128
    """Features of all cameras together, from which positions can be read off linearly."""
    text_width: int = 32
    """Width that the sentence embedding is projected to."""
    hidden: int = 512
    """Width of the action expert."""
    layers: int = 2
    """Residual layers of the action expert."""
    attention_heads: int = 0
    """Heads of a transformer expert, whose width is `hidden`; 0 for an MLP."""
    edit_hidden: int = 0
    """Width of the edit head that QAM trains beside the expert; 0 for a policy without one."""
    label_dim: int = 0
    """Simulator labels that the encoder's auxiliary head predicts; 0 for none."""
    flow_steps: int = 10
    """Euler steps from noise to action at inference; the edit must have been trained at their times."""
    start_noise: float = 0.3
    """Scale of the start noise at inference; 1 samples the learned law, less stays nearer its
    modes.
    """
    edit_last: bool = False
    """The edit acts at the last flow step too. Only QAM's ``euler`` trains it there: ``ancestral`` takes that step by
    the reference alone.
    """
    action_edit: float = 0.0
    """Largest change of an entry, normalised, that a learned one-step edit makes to the sampled chunk (QAM-E); 0 for a
    policy without one.
    """
    guidance: float = 0.0
    """How sharply a policy that was told of advantages (RECAP) acts on the positive ones; 0 for one that was not."""
    best_of: int = 1
    """Samples of a plan, of which the one with the largest Q is executed; 1 for a policy without a critic."""
    critic_hidden: int = 0
    """Width of the critic that chooses; 0 without one."""
    critic_heads: int = 0
    """Its Q heads."""
    critic_atoms: int = 0
    """Its atoms of V."""

    @property
    def feature_dim(self) -> int:
        """F, width of the frozen vision features: all cameras side by side, and the trunk."""
        return self.vision_width * len(self.cameras) + self.trunk_width

    @property
    def prefix_dim(self) -> int:
        """P, width of an encoded observation: the MLP's, or a token for each camera, the trunk, text and state."""
        tokens = len(self.cameras) + 3
        return self.hidden * (tokens if self.attention_heads else 1)

    @property
    def chunk_dim(self) -> int:
        """D = H * A, a flattened chunk."""
        return self.horizon * self.action_dim

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces. What came later is left out at its default, so that the digest of
        an older checkpoint stays what robots and manifests know.
        """
        raw = asdict(self)
        for field in fields(self):
            if field.name in LATER and raw[field.name] == field.default:
                del raw[field.name]
        return json.dumps(raw, sort_keys=True, separators=(',', ':'))

    @property
    def sha256(self) -> str:
        """Hex digest of the canonical JSON: two policies with the same digest are interchangeable
        in shape.
        """
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> PolicyConfig:
        """Inverse of `to_json`.

        Raises:
            PolicyError: not JSON, or a field is missing or unknown.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            known = {field.name for field in fields(cls)}
            if unknown := set(raw) - known:
                raise PolicyError(
                    f'policy config has unknown fields {sorted(unknown)}; newer version?'
                )
            for name in ('cameras', 'image_size', 'relative_to_state'):
                raw[name] = tuple(raw[name])
            return cls(**raw)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise PolicyError(f'policy config cannot be read: {error}') from error


PRESETS: dict[str, dict[str, Any]] = {
    'tiny': {'hidden': 512, 'layers': 2, 'edit_hidden': 256},
    'small': {'hidden': 256, 'layers': 4, 'attention_heads': 4, 'edit_hidden': 512},
    'base': {'hidden': 768, 'layers': 12, 'attention_heads': 12, 'edit_hidden': 1024},
}
"""Sizes: an MLP expert for two laptop cores; transformers for a workstation and for a GPU. The vision tower and its
pre-training are shared."""


def preset(
    name: str,
    profile: RobotProfile,
    *,
    label_dim: int = 0,
    edit: bool = True,
) -> PolicyConfig:
    """The config of a named size for a robot.

    Args:
        name: ``tiny`` for two laptop cores, ``small``, ``base`` for a GPU.
        profile: the robot.
        label_dim: simulator labels for the encoder's auxiliary loss.
        edit: with the edit head that QAM trains.

    Raises:
        PolicyError: no such preset.
        ProfileError: the cameras differ in size, and the profile does not say what a policy sees.
    """
    if name not in PRESETS:
        raise PolicyError(f'no policy preset {name!r}; known: {", ".join(PRESETS)}')
    sized: dict[str, Any] = PRESETS[name] | ({} if edit else {'edit_hidden': 0})
    width, height = profile.policy_image_size
    return PolicyConfig(
        preset=name,
        image_size=(height, width),
        label_dim=label_dim,
        **policy_facts(profile),
        **sized,
    )
