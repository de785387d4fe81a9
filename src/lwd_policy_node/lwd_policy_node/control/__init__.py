"""The arbiter's core: one writer, four sources, limits last. numpy only."""

from lwd_policy_node.control.arbiter import Arbiter
from lwd_policy_node.control.arbiter_config import ArbiterConfig
from lwd_policy_node.control.safety_filter import SafetyFilter
from lwd_policy_node.control.signals import (
    Chunk,
    Clamp,
    EpisodeState,
    Output,
    Source,
    Teleop,
)

__all__ = [
    'Arbiter',
    'ArbiterConfig',
    'Chunk',
    'Clamp',
    'EpisodeState',
    'Output',
    'SafetyFilter',
    'Source',
    'Teleop',
]
