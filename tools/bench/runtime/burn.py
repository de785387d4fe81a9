"""Load: inference without end, as a policy that plans as often as it can (``python -m tools.bench.runtime.burn``)."""

from __future__ import annotations

import sys
from pathlib import Path

from lwd_policy_node.inference.observation import zero_observation
from lwd_policy_node.policy import Policy
from lwd_policy_node.profile import load_profile

from tools.bench.runtime.checkpoint import INSTRUCTION, PROFILE


def main() -> None:
    """Infer until killed."""
    policy = Policy.load(Path(sys.argv[1]), threads=1)
    observation = zero_observation(load_profile(PROFILE), INSTRUCTION)
    while True:
        policy.act(observation, 1)


if __name__ == '__main__':
    main()
