"""A robot that does nothing but take weights: the real client and its checks, a policy without a tensor library.

``python -m tools.bench.weights_area.robot ROBOT_ID HOME``; runs until a signal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.inference import LoadedWeights, PolicySlot
from lwd_policy_node.nodes.process import run_node
from lwd_policy_node.nodes.weights_client import WeightsClient
from lwd_policy_node.nodes.weights_pull import WeightsOptions
from lwd_policy_node.weights import WeightsStore
from lwd_policy_node.weights.tensors import read_header
from rclpy.node import Node

SHAPE = (16, 16)


class LightPolicy:
    """Knows its configuration and stands still."""

    def __init__(self, path: Path) -> None:
        self.config_hash = read_header(path).metadata['lwd.config_hash']

    def act(self, obs: Any, seed: int, frozen: Any = None) -> npt.NDArray[np.float64]:
        """A chunk of zeros."""
        return np.zeros(SHAPE)


class TakingRobot(Node):
    """policy_node's weights client alone."""

    def __init__(self, robot_id: str, home: Path) -> None:
        super().__init__('policy_node', namespace=f'/{robot_id}')
        options = WeightsOptions(
            robot_id=robot_id,
            trusted_keys=home / 'keys',
            transport='uri',
            config_hash='',
            piece_bytes=1 << 20,
            answer_timeout_s=3.0,
            retry_s=0.5,
            robot={'profile': 'light'},
            chunk_shape=SHAPE,
        )
        self._slot = PolicySlot()
        self._in_use: LoadedWeights | None = None
        self.client = WeightsClient(
            self,
            options=options,
            store=WeightsStore(home / 'robots' / robot_id / 'weights', keep=2),
            slot=self._slot,
            loader=lambda: LightPolicy,
            sample=lambda instruction: instruction,
            changed=self._use,
        )

    def _use(self) -> None:
        """Outside an episode weights are in use as soon as they are offered."""
        weights = self._slot.active
        if weights is not None and weights is not self._in_use:
            self._in_use = weights
            self.client.activated(weights)


def main() -> int:
    """Run one robot."""
    robot_id, home = sys.argv[1], Path(sys.argv[2])
    return run_node(lambda: TakingRobot(robot_id, home))


if __name__ == '__main__':
    sys.exit(main())
