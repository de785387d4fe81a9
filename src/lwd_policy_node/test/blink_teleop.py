"""teleop_node with a source that holds its deadman for 0.2 s out of every 0.4 s."""

from __future__ import annotations

import sys
from unittest import mock

import numpy as np
import numpy.typing as npt
from lwd_policy_node.nodes import teleop_node


class BlinkSource:
    def __init__(self, node: object) -> None:
        self.node = node

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        return (np.zeros(16), 'stall') if now_s % 0.4 < 0.2 else None


if __name__ == '__main__':
    with mock.patch.object(teleop_node, 'load_source', lambda name: BlinkSource):
        sys.exit(teleop_node.main())
