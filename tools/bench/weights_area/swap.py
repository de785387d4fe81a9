"""Control periods that the arbiter misses while policy_node takes and swaps weights."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from lwd_learner.publish import Publisher
from lwd_policy_node.control import Source

from tools.bench.runtime.rig import DOMAIN, Rig

ARBITER = 'lwd_policy_node.nodes.arbiter_node'
POLICY = 'lwd_policy_node.nodes.policy_node'
BODY = 'tools.bench.runtime.robot_process'


def missed_periods(swaps: int) -> float:
    """Intervals of joint_command above 1.5 periods, from a publication to the first chunks of the new version.

    Raises:
        TimeoutError: a version was not loaded or not swapped in.
    """
    os.environ['ROS_DOMAIN_ID'] = str(DOMAIN)
    missed = 0
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        home = Path(folder)
        (home / 'keys' / 'learner.version').write_text('1\n')  # the rig keeps version 1
        for module in (ARBITER, BODY, POLICY):
            rig.start_node(module)
        rig.wait('joint_command', lambda: len(rig.commands_ns) > 30)
        rig.episode('swap-0')
        rig.wait_source(Source.POLICY)
        policy = home / 'published.safetensors'
        shutil.copyfile(rig.checkpoint, policy)
        period_ns = rig.profile.control_period_s * 1e9
        with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as learner:
            for swap in range(1, swaps + 1):
                rig.commands_ns.clear()
                found: list[int] = []
                publication = threading.Thread(
                    target=lambda found=found: found.append(
                        learner.publish(policy, stage='online', step=1)
                    )
                )
                publication.start()
                rig.wait('a publication', lambda p=publication: not p.is_alive())
                version = found[0]
                rig.wait(
                    f'version {version}',
                    lambda v=version: learner.fleet.wait_for(v, 'loaded', 1, 0.0),
                )
                rig.episode(f'swap-{swap}')
                rig.wait(
                    f'version {version} in use',
                    lambda v=version: learner.fleet.wait_for(v, 'active', 1, 0.0),
                )
                rig.wait_source(Source.POLICY)
                rig.spin(1.0)
                missed += int((np.diff(rig.commands_ns) > 1.5 * period_ns).sum())
    return float(missed)
