"""Temporal ensembling and the cadence report, against answers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lwd_policy_node.inference import Cadence, Ensemble, Planner
from lwd_policy_node.inference.observation import NS, zero_observation
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
TICK_NS = round(NS / 30)


def _rows(*values: float) -> Any:
    return np.array(values)[:, None] * np.ones(2)


def test_the_mean_of_three_chunks() -> None:
    """Steps are matched by their moment, and the oldest plan weighs most: w = 1, 1/2, 1/4."""
    ensemble = Ensemble(3, math.log(2.0), 1 / 30)
    assert np.array_equal(ensemble.add(0, _rows(0, 8, 16, 24)), _rows(0, 8, 16, 24))
    # moments of the first chunk's steps 1, 2, 3 and one that only the second covers
    second = ensemble.add(TICK_NS, _rows(2, 4, 6, 8))
    assert np.allclose(second, _rows((8 + 1) / 1.5, (16 + 2) / 1.5, (24 + 3) / 1.5, 8))
    third = ensemble.add(3 * TICK_NS, _rows(10, 10, 10, 10))
    assert np.allclose(third, _rows((24 + 3 + 2.5) / 1.75, (8 + 5) / 1.5, 10, 10))
    fourth = ensemble.add(4 * TICK_NS, _rows(1, 1, 1, 1))  # the first has left
    assert np.allclose(fourth, _rows((8 + 5 + 0.25) / 1.75, (10 + 0.5) / 1.5, (10 + 0.5) / 1.5, 1))


def test_an_ensemble_forgets_what_is_not_executed() -> None:
    """A clock that steps back, another episode, other weights and a hand-back start a new mean."""
    ensemble = Ensemble(4, 0.0, 1 / 30)
    ensemble.add(9 * TICK_NS, _rows(5, 5))
    assert np.array_equal(ensemble.add(0, _rows(1, 1)), _rows(1, 1))

    class Constant:
        config_hash = ''
        value = 0.0

        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            return np.full((16, 16), self.value)

    def plan(tick: int, episode: str, version: int, value: float) -> float:
        policy.value = value
        observation = replace(zero_observation(PROFILE), stamp_ns=tick * TICK_NS)
        return float(planner.plan(policy, version, observation, episode).actions[0, 0])

    policy, planner = Constant(), Planner(PROFILE, ensemble=Ensemble(4, 0.0, 1 / 30))
    assert plan(0, 'a', 1, 0.0) == 0.0
    assert plan(9, 'a', 1, 4.0) == 2.0
    assert plan(18, 'a', 2, 6.0) == 6.0, 'other weights'
    assert plan(27, 'b', 2, 8.0) == 8.0, 'another episode'
    planner.executing = False
    assert plan(36, 'b', 2, 1.0) == 1.0, 'a human moves the robot'
    planner.executing = True
    planner.replan_after(40 * TICK_NS)
    assert plan(45, 'b', 2, 3.0) == 3.0, 'handed back'
    assert plan(54, 'b', 2, 5.0) == 4.0


def test_an_ensemble_that_cannot_be_is_refused() -> None:
    """Wrong settings are said at the start."""
    with pytest.raises(ValueError, match='averages nothing'):
        Ensemble(1, 0.0, 1 / 30)
    with pytest.raises(ValueError, match='finite'):
        Ensemble(2, math.nan, 1 / 30)
    with pytest.raises(ValueError, match='exclude each other'):
        Planner(PROFILE, frozen_steps=2, ensemble=Ensemble(2, 0.0, 1 / 30))


def test_cadence_by_hand() -> None:
    """Rates come from stamps, percentiles from the inferences, ages from a chunk's first step."""
    cadence = Cadence()
    empty = cadence.report()
    assert math.isnan(empty.observation_hz) and math.isnan(empty.chunk_age_p99_ms)
    for stamp_ns in (0, 0, NS // 4, NS // 4, NS // 2, NS):  # 4 of them, and one camera frame lost
        cadence.observed(stamp_ns)
    for milliseconds in (10, 20, 30):
        cadence.inferred(milliseconds * 1e-3)
    for chunk_id, step, age_s in ((1, 2, 0.07), (1, 3, 0.1), (2, 4, 0.13), (2, 5, 0.17)):
        cadence.executed(chunk_id, step, age_s)
    report = cadence.report()
    assert report.observation_hz == pytest.approx(3.0)
    assert report.inference_p50_ms == pytest.approx(20.0)
    assert report.inference_p99_ms == pytest.approx(29.8)
    assert report.chunk_age_p50_ms == pytest.approx(100.0)
    assert (report.skipped_steps_mean, report.skipped_steps_max) == (3.0, 4.0)
    assert report.chunks_used == 2


def test_cadence_of_a_restarted_clock() -> None:
    """A simulator that starts again does not leave a negative rate."""
    cadence = Cadence()
    for tick in (300, 303, 0, 3, 6):
        cadence.observed(tick * TICK_NS)
    assert cadence.report().observation_hz == pytest.approx(10.0, rel=1e-6)
