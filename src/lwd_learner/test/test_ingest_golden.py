"""A bag made by hand gives exactly the transitions written out here: the learner's view of the world, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay, Transitions
from lwd_learner.replay.filters import RowView
from lwd_policy_node.inference import ObservationAssembler
from lwd_recorder.bag import read_bag
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

GAMMA = 0.9
POLICY, HUMAN = 1, 2
# 20 frames: the policy acts at ticks 0-5, a human at 6-10, 11-15 are lost, the human goes on at 16-24 and succeeds
SOURCES = (POLICY,) * 6 + (HUMAN,) * 19
LOST = (11, 12, 13, 14, 15)

# tick of the start, tick of the bootstrap (or last) observation, valid steps of the chunk, of the window, terminal
EXPECTED = {
    (1, 1): [
        (0, 1, 1, 1, False),
        (1, 2, 1, 1, False),
        (2, 3, 1, 1, False),
        (3, 4, 1, 1, False),
        (4, 5, 1, 1, False),
        (
            5,
            6,
            1,
            1,
            False,
        ),  # the takeover's first observation is the result of the last policy step
        (6, 7, 1, 1, False),
        (7, 8, 1, 1, False),
        (8, 9, 1, 1, False),
        (9, 10, 1, 1, False),  # no transition starts at 10: what its action led to was not seen
        (16, 17, 1, 1, False),
        (17, 18, 1, 1, False),
        (18, 19, 1, 1, False),
        (19, 20, 1, 1, False),
        (20, 21, 1, 1, False),
        (21, 22, 1, 1, False),
        (22, 23, 1, 1, False),
        (23, 24, 1, 1, False),
        (24, 24, 1, 1, True),
    ],
    (4, 1): [
        (0, 4, 4, 4, False),
        (1, 5, 4, 4, False),
        (2, 6, 4, 4, False),
        (3, 6, 3, 3, False),
        (4, 6, 2, 2, False),
        (5, 6, 1, 1, False),
        (6, 10, 4, 4, False),
        (7, 10, 3, 3, False),
        (8, 10, 2, 2, False),
        (9, 10, 1, 1, False),
        (16, 20, 4, 4, False),
        (17, 21, 4, 4, False),
        (18, 22, 4, 4, False),
        (19, 23, 4, 4, False),
        (20, 24, 4, 4, False),
        (21, 24, 4, 4, True),
        (22, 24, 3, 3, True),
        (23, 24, 2, 2, True),
        (24, 24, 1, 1, True),
    ],
    (1, 3): [
        (0, 3, 1, 3, False),
        (1, 4, 1, 3, False),
        (2, 5, 1, 3, False),
        (3, 6, 1, 3, False),
        (4, 6, 1, 2, False),
        (5, 6, 1, 1, False),
        (6, 9, 1, 3, False),
        (7, 10, 1, 3, False),
        (8, 10, 1, 2, False),
        (9, 10, 1, 1, False),
        (16, 19, 1, 3, False),
        (17, 20, 1, 3, False),
        (18, 21, 1, 3, False),
        (19, 22, 1, 3, False),
        (20, 23, 1, 3, False),
        (21, 24, 1, 3, False),
        (22, 24, 1, 3, True),
        (23, 24, 1, 2, True),
        (24, 24, 1, 1, True),
    ],
    (1, 10): [
        (0, 6, 1, 6, False),
        (1, 6, 1, 5, False),
        (2, 6, 1, 4, False),
        (3, 6, 1, 3, False),
        (4, 6, 1, 2, False),
        (5, 6, 1, 1, False),
        (6, 10, 1, 4, False),
        (7, 10, 1, 3, False),
        (8, 10, 1, 2, False),
        (9, 10, 1, 1, False),
        (16, 24, 1, 9, True),
        (17, 24, 1, 8, True),
        (18, 24, 1, 7, True),
        (19, 24, 1, 6, True),
        (20, 24, 1, 5, True),
        (21, 24, 1, 4, True),
        (22, 24, 1, 3, True),
        (23, 24, 1, 2, True),
        (24, 24, 1, 1, True),
    ],
    (4, 3): [
        (0, 6, 4, 6, False),
        (1, 6, 4, 5, False),
        (2, 6, 4, 4, False),
        (3, 6, 3, 3, False),
        (4, 6, 2, 2, False),
        (5, 6, 1, 1, False),
        (6, 10, 4, 4, False),
        (7, 10, 3, 3, False),
        (8, 10, 2, 2, False),
        (9, 10, 1, 1, False),
        (16, 24, 4, 9, True),
        (17, 24, 4, 8, True),
        (18, 24, 4, 7, True),
        (19, 24, 4, 6, True),
        (20, 24, 4, 5, True),
        (21, 24, 4, 4, True),
        (22, 24, 3, 3, True),
        (23, 24, 2, 2, True),
        (24, 24, 1, 1, True),
    ],
}


def ingested(tmp_path, store, send, profile, made) -> Replay:
    send(made)
    replay = Replay.create(tmp_path / 'replay', profile)
    (result,) = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl').poll()
    assert result.quarantined is None
    return replay


@pytest.mark.parametrize(('outcome', 'reward'), [('success', 1.0), ('failure', 0.0)])
@pytest.mark.parametrize(('horizon', 'n_step'), list(EXPECTED))
def test_the_golden_bag_gives_exactly_these_transitions(
    tmp_path: Path, store, send, profile, hand_made, horizon, n_step, outcome, reward
):
    made = hand_made(sources=SOURCES, missing=LOST, outcome=outcome, image_every=1)
    replay = ingested(tmp_path, store, send, profile, made)
    assert len(replay.index('online')) == 20
    read = Transitions(replay, horizon, n_step, GAMMA)
    batch = read.read(replay.global_rows('online', read.starts('online')))
    got = [
        (round(float(s[0])), round(float(n[0])), int(m.sum()))
        for s, n, m in zip(batch.state, batch.next_state, batch.mask, strict=True)
    ]
    expected = EXPECTED[horizon, n_step]
    assert got == [entry[:3] for entry in expected]
    terminal = np.array([entry[4] for entry in expected])
    k = np.array([entry[3] for entry in expected])
    np.testing.assert_allclose(batch.discount, np.where(terminal, 0.0, GAMMA**k), rtol=1e-6)
    np.testing.assert_allclose(
        batch.reward, np.where(terminal, reward * GAMMA ** (k - 1), 0.0), rtol=1e-6
    )
    for action, mask, (tick, *_) in zip(batch.action, batch.mask, expected, strict=True):
        valid = int(mask.sum())
        assert mask[:valid].all()
        steps = [
            tick + min(i, valid - 1) for i in range(horizon)
        ]  # the last valid step is repeated
        np.testing.assert_array_equal(action[:, 0], steps)
    assert batch.human.tolist() == [entry[0] >= 6 for entry in expected]
    assert batch.success.tolist() == [outcome == 'success'] * len(expected)
    assert batch.policy_version.tolist() == [7 if entry[0] < 6 else 0 for entry in expected]


@pytest.mark.parametrize(('kind', 'outcome'), [('play', 'success'), ('rollout', 'failure')])
def test_play_and_time_out_end_the_episode_without_reward(
    tmp_path: Path, store, send, profile, hand_made, kind, outcome
):
    replay = ingested(tmp_path, store, send, profile, hand_made(kind=kind, outcome=outcome))
    dataset = 'online' if kind == 'rollout' else 'offline'
    read = Transitions(replay, 16)
    batch = read.read(replay.global_rows(dataset, read.starts(dataset)))
    assert (batch.reward == 0).all() and (batch.discount == 0).all() and not batch.success.any()


@pytest.mark.parametrize('outcome', ['aborted', 'unknown'])
def test_an_end_without_a_verdict_is_bootstrapped_from_the_last_observation(
    tmp_path: Path, store, send, profile, hand_made, outcome
):
    replay = ingested(tmp_path, store, send, profile, hand_made(outcome=outcome, image_every=1))
    read = Transitions(replay, 16, gamma=GAMMA)
    batch = read.read(replay.global_rows('online', read.starts('online')))
    assert len(batch) == 11  # the twelfth action has no observed result
    assert (batch.next_state[:, 0] == 11).all()
    np.testing.assert_allclose(batch.discount, GAMMA ** np.arange(11, 0, -1), rtol=1e-6)
    assert (batch.reward == 0).all()


def test_images_are_the_bags_bytes_and_the_newest_at_or_before_the_tick(
    tmp_path: Path, store, send, profile, hand_made
):
    """JPEG bytes go through unchanged, and no row sees an image from after its command."""
    made = hand_made(sources=(POLICY,) * 14)
    replay = ingested(tmp_path, store, send, profile, made)
    cameras = {f'/{made.robot_id}/{camera.topic}': camera.name for camera in profile.cameras}
    in_bag: dict[str, list[bytes]] = {camera.name: [] for camera in profile.cameras}
    for topic, _, data, _ in read_bag(tmp_path / 'bags' / made.episode_id):
        if topic in cameras:
            start = data.index(b'\xff\xd8')
            in_bag[cameras[topic]].append(data[start : data.rindex(b'\xff\xd9') + 2])
    fresh = Replay.open(tmp_path / 'replay')  # reads from disk, not from the writer's cache
    rows = fresh.global_rows('online', np.arange(14))
    for tick, frames in enumerate(fresh.jpegs(rows)):
        # frames were taken at ticks -3, 0, 3, ...: the one at or before `tick`
        assert frames == [in_bag[camera.name][tick // 3 + 1] for camera in profile.cameras]
    assert replay.jpegs(rows) == fresh.jpegs(rows)
    assert fresh.all_image_rows('online').tolist() == rows[::3].tolist()
    images = fresh.images(rows)
    assert images.shape == (14, 3, 64, 64, 3)
    assert [
        round(float(red)) for red in images[::3, 0, 40:, 40:, 0].mean(axis=(1, 2))
    ] == pytest.approx([21, 42, 63, 84, 105], abs=3)
    read = Transitions(fresh, 4)
    batch = read.read(fresh.global_rows('online', read.starts('online')))
    assert batch.row.tolist() == rows[::3].tolist()  # a transition starts where a new image is
    assert batch.next_row.tolist() == rows[[3, 6, 9, 12, 12]].tolist()


@pytest.mark.parametrize('image_every', [1, 3])
def test_what_the_policy_saw_is_what_the_row_of_that_moment_holds(
    tmp_path: Path, store, send, profile, hand_made, image_every
):
    """The bag in order of receipt, through what assembles observations on the robot: equal, bit for bit."""
    made = hand_made(sources=SOURCES, missing=LOST, image_every=image_every)
    replay = ingested(tmp_path, store, send, profile, made)
    cameras = {f'/{made.robot_id}/{camera.topic}': camera.name for camera in profile.cameras}
    assembler = ObservationAssembler(profile, late_after_s=1.0)
    live = {}
    for topic, _, data, _ in read_bag(tmp_path / 'bags' / made.episode_id):
        if topic in cameras:
            image = deserialize_message(data, CompressedImage)
            stamp_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
            assembler.put_image(cameras[topic], stamp_ns, bytes(image.data))
        elif topic.endswith('/joint_states'):
            joints = deserialize_message(data, JointState)
            stamp_ns = joints.header.stamp.sec * 10**9 + joints.header.stamp.nanosec
            assembler.put_joint_state(stamp_ns, joints.name, joints.position, joints.velocity)
        taken = assembler.take()
        if taken is not None:
            live.setdefault(taken[0], taken[1:])
    index = replay.index('online')
    compared = 0
    for row, stamp_s in enumerate(index.stamp_s.data.tolist()):
        seen = live.get(round(stamp_s * 1e9))
        if seen is not None:
            jpegs, state = seen
            (stored,) = replay.jpegs(replay.global_rows('online', np.array([row])))
            assert stored == [jpegs[camera.name] for camera in profile.cameras]
            np.testing.assert_array_equal(index.state.data[row], state)
            compared += 1
    wanted = [t for t in range(25) if t not in LOST and t % image_every == 0]
    assert compared == len(wanted)


def test_labels_are_those_of_the_tick(tmp_path: Path, store, send, profile, hand_made):
    replay = ingested(tmp_path, store, send, profile, hand_made())
    labels = replay.labels(replay.global_rows('online', np.arange(12)))
    np.testing.assert_array_equal(labels, np.stack([np.arange(12), -np.ones(12)], axis=1))
    assert replay.episodes('online')[0].label_names == ('can.x', 'can.y')


def test_a_short_silence_is_filled_with_the_command_in_force(
    tmp_path: Path, store, send, profile, hand_made
):
    """The robot holds its last target: a chunk across one lost message is what the robot really did."""
    replay = ingested(tmp_path, store, send, profile, hand_made(missing=(4, 5)))
    assert replay.index('online').action.data[:, 0].tolist() == [
        0,
        1,
        2,
        3,
        3,
        3,
        6,
        7,
        8,
        9,
        10,
        11,
    ]
    assert replay.index('online').state.data[:, 0].tolist() == list(range(12))
    assert (replay.index('online').limit.data == 12).all()


def test_stale_images_cut_the_segment(tmp_path: Path, store, send, profile, hand_made):
    """Rows without a fresh image are left out: 24 ticks between frames are .8 s, .5 s are allowed."""
    replay = ingested(
        tmp_path, store, send, profile, hand_made(sources=(POLICY,) * 30, image_every=24)
    )
    ticks = replay.index('online').state.data[:, 0]
    assert ticks.tolist() == [*range(16), *range(24, 30)]
    assert replay.index('online').limit.data.tolist() == [15] * 16 + [22] * 6


def test_a_success_that_no_frame_shows_is_refused(tmp_path: Path, store, send, profile, hand_made):
    """Images stop at tick 60 of 110, where the reward would stand; without a verdict there is none."""
    for number, outcome in enumerate(('success', 'failure', 'aborted')):
        name = f'g1_01-20250101T000000-{number:08d}'
        send(hand_made(name, outcome=outcome, sources=(POLICY,) * 110, image_every=60))
    replay = Replay.create(tmp_path / 'replay', profile)
    results = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl').poll()
    said = {int(result.episode_id[-8:]): result.quarantined for result in results}
    for number, outcome in ((0, 'success'), (1, 'failure')):
        assert f's before the {outcome}: no frame shows it' in str(said[number])
    assert said[2] is None
    assert (
        replay.index('online').state.data[-1, 0] == 75
    )  # images are fresh enough for half a second


def test_what_a_human_had_to_take_over_from_is_found_behind_a_gap_too(
    tmp_path: Path, store, send, profile, hand_made
):
    """Policy, human, policy, lost ticks, human: the policy's stretches were corrected, the human's were not."""
    sources = (POLICY,) * 4 + (HUMAN,) * 4 + (POLICY,) * 10 + (HUMAN,) * 4
    made = hand_made(sources=sources, missing=range(13, 18), image_every=1)
    index = ingested(tmp_path, store, send, profile, made).index('online')
    ticks = index.state.data[:, 0].astype(int)
    rows = RowView.of(index, np.arange(len(index)))
    expected = [tick for tick, source in enumerate(sources) if source == POLICY and tick < 13]
    assert ticks[rows.corrected].tolist() == expected
