"""A reset just before an episode: what its rows show and are labelled with is the new scene, never the one before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay


def taken(tmp_path: Path, store, profile, send, made) -> Replay:
    send(made)
    replay = Replay.create(tmp_path / 'replay', profile)
    ingest = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl')
    assert [result.quarantined for result in ingest.poll()] == [None]
    ingest.close()
    return replay


@pytest.mark.parametrize(
    'before',
    [('handover', ('bar.x', 'bar.y', 'bar.z')), ('restock', ('can.x', 'can.y')), ('play', ())],
    ids=['another task', 'the same task', 'nothing labelled'],
)
@pytest.mark.parametrize('reset', [0, -1])
def test_labels_are_those_of_the_episodes_scene(
    tmp_path: Path, store, send, profile, hand_made, before, reset
):
    replay = taken(tmp_path, store, profile, send, hand_made(old_scene=(*before, reset)))
    assert replay.episodes('online')[0].label_names == ('can.x', 'can.y')
    labels = replay.labels(replay.global_rows('online', np.arange(12)))
    np.testing.assert_array_equal(labels, np.stack([np.arange(12), -np.ones(12)], axis=1))


@pytest.mark.parametrize(('reset', 'first'), [(0, 3), (-1, 3), (-3, 0)])
def test_rows_see_no_image_from_before_the_reset(
    tmp_path: Path, store, send, profile, hand_made, reset, first
):
    """Images come at ticks -3, 0, 3 and so on; that of tick 0 is lost. One of the episode's own scene may be older."""
    made = hand_made(old_scene=('restock', ('can.x', 'can.y'), reset), lost_images=(0,))
    index = taken(tmp_path, store, profile, send, made).index('online')
    assert index.state.data[:, 0].tolist() == list(range(first, 12))


def test_rows_have_no_state_from_before_the_reset(tmp_path: Path, store, send, profile, hand_made):
    """The state of tick 0 never came: the command of that tick has no observation."""
    made = hand_made(old_scene=('restock', ('can.x', 'can.y'), 0), lost_states=(0,), image_every=1)
    index = taken(tmp_path, store, profile, send, made).index('online')
    assert index.state.data[:, 0].tolist() == list(range(1, 12))
