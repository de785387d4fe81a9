"""Weights on the robot: keys, signed manifests, checks, the folder with the last good ones.

No rclpy, no torch. The learner's publisher uses the same keys and manifests.
"""

from lwd_policy_node.weights.keys import (
    KeyFileError,
    KeyPair,
    ensure_key_pair,
    key_id,
    load_private_key,
    load_public_key,
    load_trusted_keys,
)
from lwd_policy_node.weights.manifest import Manifest
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.store import WeightsStore

__all__ = [
    'KeyFileError',
    'KeyPair',
    'Manifest',
    'Refusal',
    'WeightsRefused',
    'WeightsStore',
    'ensure_key_pair',
    'key_id',
    'load_private_key',
    'load_public_key',
    'load_trusted_keys',
]
