"""The robot's clock never steps back, also when the simulator is killed and started again."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from lwd_sim.nodes import sim_clock
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


def test_the_pacer_says_when_its_speed_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(sim_clock, 'time', SimpleNamespace(monotonic=lambda: wall.now_s))
    pacer = Pacer(period_s=0.1, factor=4.0)

    def tick(count: int, wall_s: float) -> None:
        for _ in range(count):
            wall.now_s += wall_s
            pacer.ticked()

    tick(400, 0.025)
    assert pacer.behind() is None  # held
    tick(200, 0.05)
    assert pacer.behind() == pytest.approx(2.0)
    wall.now_s += 3.0  # a scene is compiled
    pacer.watch_anew()
    assert pacer.behind() is None
    tick(400, 0.025)
    assert pacer.behind() is None
    tick(200, 0.05)
    pacer.set_factor(2.0)
    tick(200, 0.05)
    assert pacer.behind() is None
    pacer.set_factor(0.0)  # as fast as possible is always held
    tick(200, 1.0)
    assert pacer.behind() is None
