"""The robot's clock never steps back, also when the simulator is killed and started again."""

from __future__ import annotations

import time

import pytest
from lwd_sim.nodes.sim_clock import Pacer, first_stamp_ns


@pytest.mark.parametrize('factor', [0.0, 0.5, 1.0, 2.5])
def test_a_restarted_clock_is_ahead_of_where_the_first_one_can_be(factor: float) -> None:
    started_s, lived_s = 1_800_000_000.0, 600.0
    speed = factor or 10.0  # what is expected of a simulator that runs as fast as it can
    reached_ns = first_stamp_ns(factor, started_s) + lived_s * speed * 1e9
    assert first_stamp_ns(factor, started_s + lived_s + 1.0 / speed) >= reached_ns


@pytest.mark.parametrize('factor', [0.0, 2.5, 100.0])
def test_seconds_fit_a_ros_stamp(factor: float) -> None:
    assert 0 <= first_stamp_ns(factor, 1_900_000_000.0) // 1_000_000_000 < 2**31


def test_the_pacer_waits_for_the_wall_and_does_not_race_after_a_pause() -> None:
    pacer = Pacer(period_s=0.02, factor=2.0)
    assert 0.0 < pacer.left_s() <= 0.01
    time.sleep(0.03)  # the time itself is what is tested
    assert pacer.left_s() == 0.0
    pacer.ticked()
    pacer.ticked()
    assert pacer.left_s() > 0.0  # one tick is made up, not three
    pacer.set_factor(0.0)
    assert pacer.left_s() == 0.0
