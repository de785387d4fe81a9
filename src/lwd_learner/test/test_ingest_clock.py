"""A clock that is set back in an episode: no command is paired with an observation of another moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay

TICKS, STEP_AT = 90, 40
PERIOD_S = 1 / 30


def taken(tmp_path: Path, store, profile, send, made) -> Replay:
    send(made)
    replay = Replay.create(tmp_path / 'replay', profile)
    ingest = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl')
    assert [result.quarantined for result in ingest.poll()] == [None]
    ingest.close()
    return replay


@pytest.mark.parametrize(
    ('back_s', 'missing'),
    [(0.06, ()), (0.2, ()), (0.5, ()), (0.9, ()), (0.5, (39, 40, 41))],
    ids=['0.06', '0.2', '0.5', '0.9', 'commands lost at the step'],
)
def test_what_was_stamped_twice_is_left_out_as_a_gap(
    tmp_path: Path, store, send, profile, hand_made, caplog, back_s, missing
):
    made = hand_made(
        sources=(1,) * TICKS, set_back=(STEP_AT, round(back_s * 1e9)), missing=missing
    )
    index = taken(tmp_path, store, profile, send, made).index('online')
    commands = index.action.data[:, 0].astype(int)
    np.testing.assert_array_equal(commands, index.state.data[:, 0].astype(int))
    images = index.image_row.data - np.arange(len(index))
    assert (images <= 0).all() and (images > -3).all()
    assert (np.diff(index.stamp_s.data) > 0.9 * PERIOD_S).all()
    (cut,) = np.flatnonzero(np.diff(commands) > 1).tolist()
    before, after = int(commands[cut]), int(commands[cut + 1])
    doubled = back_s / PERIOD_S
    assert STEP_AT - doubled - 12 < before < STEP_AT - doubled
    assert STEP_AT + doubled <= after < STEP_AT + doubled + 12
    assert index.limit.data[cut] == cut  # nothing runs across
    assert f'{made.episode_id}: the clock of g1_01 was set back' in caplog.text


def test_messages_that_overtook_each_other_are_no_step(
    tmp_path: Path, store, send, profile, hand_made, caplog
):
    order = list(range(-3, 13))
    order[6], order[7], order[8] = order[8], order[7], order[6]
    made = hand_made(order=order)
    index = taken(tmp_path, store, profile, send, made).index('online')
    assert index.action.data[:, 0].tolist() == list(range(12))
    assert index.state.data[:, 0].tolist() == list(range(12))
    assert 'set back' not in caplog.text


def test_an_arbiter_that_was_started_again_is_no_step(
    tmp_path: Path, store, send, profile, hand_made, caplog
):
    """Its ticks begin anew, its clock goes on."""
    made = hand_made(restarted_at=6)
    index = taken(tmp_path, store, profile, send, made).index('online')
    assert index.action.data[:, 0].tolist() == list(range(12))
    assert 'set back' not in caplog.text


def test_stamps_that_never_settle_are_refused(
    tmp_path: Path, store, send, profile, hand_made, monkeypatch
):
    """Two clocks: every other tick is half a second behind, from -1 to 89."""
    made = hand_made(sources=(1,) * TICKS)
    sent = type(made).stamp_ns
    monkeypatch.setattr(
        type(made), 'stamp_ns', lambda self, tick: sent(self, tick) - tick % 2 * 500_000_000
    )
    send(made)
    replay = Replay.create(tmp_path / 'replay', profile)
    ingest = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl')
    (result,) = ingest.poll()
    ingest.close()
    assert 'executed_action go back 46 times' in result.quarantined
