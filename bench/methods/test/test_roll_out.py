"""A roll-out in the real world: the operator helps, and ingest sees who commanded what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from lwd_learner.replay.layout import SOURCE_HUMAN, SOURCE_POLICY
from lwd_recorder.delivery.deliver import deliver
from lwd_recorder.store import open_store
from lwd_sim.data.episode_bag import Plan
from lwd_sim.operator import Skill

from bench.methods.buffer import take_in
from bench.methods.config import CompareConfig
from bench.methods.roll_out import roll_out
from bench.methods.rounds import robot_world, summary


def test_a_policy_that_stands_still_is_helped_and_ingest_tells_who_acted(tmp_path):
    config = CompareConfig(folder=tmp_path)
    world = robot_world(config)

    def stay(_observation: object, _seed: int) -> np.ndarray:
        """Whatever targets are in force."""
        return np.tile(world.scene.data.ctrl[:16].copy(), (world.profile.horizon, 1))

    plan = Plan('still', 'robot_01', 'restock', 7, 'trained', 'rollout', Skill.expert())
    manifest = roll_out(world, stay, plan, 3, config.profile, tmp_path / 'still')
    world.close()
    assert manifest.takeovers >= 1
    assert manifest.outcome == 'success'
    deliver(open_store(str(tmp_path / 'store')), tmp_path / 'still')
    replay = take_in(tmp_path / 'store', tmp_path / 'data', config.profile)
    index = replay.index('online')
    source, version = index.source.data, index.policy_version.data
    assert set(source.tolist()) == {SOURCE_HUMAN, SOURCE_POLICY}
    assert set(version[source == SOURCE_POLICY].tolist()) == {3}
    assert not version[source == SOURCE_HUMAN].any()
    human_s = (source == SOURCE_HUMAN).sum() * world.profile.control_period_s
    assert abs(human_s - manifest.human_s) < 1e-6
    found = summary([manifest, replace(manifest, takeovers=0)])
    assert (found['episodes'], found['successes'], found['successes_alone']) == (2, 2, 1)
