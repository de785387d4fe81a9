"""What of the arbiter can be set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lwd_policy_node.control.workspace import Box


@dataclass(frozen=True, slots=True)
class ArbiterConfig:
    """Time-outs and rates of the arbiter; times on the robot's clock, s, where nothing else is said."""

    joint_state_timeout_s: float = 0.1
    """joint_states older than this: hold."""
    teleop_timeout_s: float = 0.25
    """A teleop command older than this hands back."""
    policy_timeout_s: float = 0.047
    """No sign of life from the policy's process for this long (wall clock): hold."""
    policy_busy_s: float = 0.5
    """A policy whose middleware answers is waited for so long (wall clock) without a sign of life of its own."""
    episode_timeout_s: float = 2.0
    """No sign of life from who ends the episode for this long (wall clock): hold; 0 = not waited for."""
    max_observation_age_s: float = 1.0
    """A chunk whose observation is older than this is not executed."""
    future_tolerance_s: float = 0.5
    """Stamps further ahead of the clock than this are refused."""
    blend_s: float = 0.15
    """A new source's first commands are blended from the last executed one over this long."""
    acceleration_scale: float = 1.0
    """Multiplies the acceleration limits of the profile."""
    velocity_scale: float = 1.0
    """Multiplies the velocity limits of the profile."""
    reseed_error_rad: float = 0.2
    """Between episodes, at their start, and when joint_states come back: an arm joint further from its target than
    this means that the robot was moved, and the target is taken from the measured position."""
    workspace: Mapping[str, Box] = field(default_factory=dict)
    """Box of a gripper's tool centre by side, ``l`` or ``r``; see `Workspace`. None: no box."""
