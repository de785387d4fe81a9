"""A roll-out in the real world: the operator helps, and ingest sees who commanded what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from lwd_learner.replay.layout import SOURCE_HUMAN, SOURCE_POLICY
from lwd_learner.replay.segments import FAILURE
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


def test_a_simulation_that_blows_up_is_a_failure_that_ingest_takes(tmp_path, caplog):
    config = CompareConfig(folder=tmp_path)
    world = robot_world(config)
    planned = []

    def act(_observation: object, _seed: int) -> np.ndarray:
        planned.append(world.tick)
        if len(planned) == 3:
            world.scene.data.qvel[:] = 1e11  # more than MuJoCo takes for a speed
        return np.tile(world.scene.data.ctrl[:16].copy(), (world.profile.horizon, 1))

    plan = Plan('burst', 'robot_01', 'restock', 7, 'trained', 'rollout', Skill.expert())
    manifest = roll_out(world, act, plan, 3, config.profile, tmp_path / 'burst')
    assert (manifest.outcome, manifest.ended_by) == ('failure', 'simulator')
    assert 'unstable' in manifest.notes[0] and 'burst' in caplog.text
    deliver(open_store(str(tmp_path / 'store')), tmp_path / 'burst')
    replay = take_in(tmp_path / 'store', tmp_path / 'data', config.profile)
    index = replay.index('online')
    assert len(index) == planned[2] + 1  # its command had no effect that could be seen
    assert set(index.ending.data[: len(index)].tolist()) == {FAILURE}
    assert np.isfinite(index.state.data[: len(index)]).all()
    assert np.isfinite(index.label.data[: len(index)]).all()
    again = Plan('whole', 'robot_01', 'restock', 8, 'trained', 'rollout', Skill.expert())
    assert roll_out(world, act, again, 3, config.profile, tmp_path / 'whole').notes == ()
    world.close()
