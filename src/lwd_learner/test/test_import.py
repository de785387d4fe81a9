"""Round trips and imports: our export read back, a foreign LeRobot data set, plain bags; through the same frames."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from lwd_learner.interop import InteropError
from lwd_learner.interop.lerobot import files
from lwd_learner.interop.lerobot.export import export_lerobot
from lwd_learner.interop.lerobot.writer import LeRobotWriter, VideoConfig
from lwd_learner.interop.mapping import load_mapping, parse_mapping
from lwd_learner.replay import Replay, Transitions
from lwd_learner.replay import command as replay_command
from lwd_policy_node.profile import load_profile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

sys.path.insert(0, str(Path(__file__).parent))
from test_lerobot_export import PROFILE, PSNR_FRAME, episode, psnr, scene

STORE = get_typestore(Stores.ROS2_JAZZY)
THEIR = [
    f'their_{i}' for i in range(20)
]  # in the order of our measured joints, but for the swap of the grippers
BY_JOINT = {
    **{joint: f'their_{i}' for i, joint in enumerate(PROFILE.state_names)},
    'gripper_l': {'column': 'their_17', 'scale': -1, 'offset': 1},
    'gripper_r': {'column': 'their_16', 'scale': -1, 'offset': 1},
    'idx02_body_joint2': {'value': 0.25},
}


def replay_command_ok(*arguments: object) -> None:
    assert replay_command.main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize('epoch_s', [0, 1_760_000_000])
def test_a_round_trip_gives_equal_rows_and_pictures_within_the_codecs_error(
    tmp_path: Path, epoch_s, capsys
):
    """Replay -> LeRobot -> replay: states, actions, sources, labels, gaps, verdicts equal, bit for bit."""
    before = Replay.create(tmp_path / 'before', PROFILE)
    nobody_knows = episode(1).label.copy()
    nobody_knows[:5] = np.nan  # the simulator said nothing yet
    first = episode(1, epoch_s=epoch_s, kind='demonstration', label=nobody_knows)
    before.append('offline', [first, episode(2, epoch_s=epoch_s, kind='play', gap_at=25)])
    aborted = episode(4, epoch_s=epoch_s, gap_at=13, outcome='aborted')
    before.append('online', [episode(3, epoch_s=epoch_s), aborted])
    export_lerobot(before, tmp_path / 'out')
    assert 'NaN' not in (tmp_path / 'out/meta/stats.json').read_text()  # which is not JSON
    arguments = ['import-lerobot', tmp_path / 'out', '--dir', tmp_path / 'after']
    replay_command_ok(*arguments)
    assert '4 episodes taken (160 frames), 0 were there, 0 refused' in capsys.readouterr().out
    replay_command_ok(*arguments)
    assert '0 episodes taken (0 frames), 4 were there' in capsys.readouterr().out
    after = Replay.open(tmp_path / 'after')
    assert after.layout == before.layout
    for name in ('offline', 'online'):
        old, new = before.index(name), after.index(name)
        assert [(e.start, e.stop) for e in old.episodes] == [
            (e.start, e.stop) for e in new.episodes
        ]
        assert old.episodes == new.episodes  # task, instruction, kind, outcome, seed, label names
        for column in (
            'stamp_s', 'state', 'action', 'source', 'policy_version', 'label', 'limit', 'ending',
            'new_image', 'camera_row', 'success',
        ):  # fmt: skip
            np.testing.assert_array_equal(
                getattr(new, column).data, getattr(old, column).data, err_msg=column
            )
        rows = before.global_rows(name, np.arange(len(old)))
        for c in range(3):
            quality = psnr(after.images(rows)[:, c], before.images(rows)[:, c])
            assert quality.min() > PSNR_FRAME
    one, two = (Transitions(replay, 4, 3) for replay in (before, after))
    starts = before.global_rows('online', one.starts('online'))
    np.testing.assert_array_equal(one.read(starts).reward, two.read(starts).reward)
    np.testing.assert_array_equal(one.read(starts).mask, two.read(starts).mask)


def foreign_lerobot(root: Path, fps: int, ticks: int, episodes: int = 2) -> np.ndarray:
    """A data set of a robot with other names, units and rates, as LeRobot's users have them."""
    t = np.arange(ticks) / fps
    state = (0.4 * np.sin(t[:, None] + np.arange(20))).astype(np.float32)
    state[:, 16:18] = state[:, 16:18] ** 2
    features = {
        files.STATE: files.feature('float32', THEIR, 20),
        files.ACTION: files.feature('float32', THEIR, 20),
        'next.success': files.feature('bool', None),
    }
    sizes = {'top': (96, 128), 'wrist': (64, 64)}
    with LeRobotWriter(root, fps, 'theirs', features, sizes, VideoConfig()) as writer:
        for number in range(episodes):
            done = np.zeros(ticks, np.bool_)
            done[-1] = number % 2 == 0
            top = [cv2.resize(scene(number, i), (128, 96)) for i in range(ticks)]
            writer.add(
                'pick the cube',
                {files.STATE: state + number, files.ACTION: state + number, 'next.success': done},
                {'top': top, 'wrist': [scene(9, i) for i in range(ticks)]},
                {},
            )
        writer.close({})
    (root / files.LAYOUT_PATH).unlink()
    return state


def mapping(**changes: object) -> dict[str, object]:
    return {
        'profile': 'g1_laptop',
        'robot_id': 'theirs_01',
        'task': 'cube',
        'state': {'source': files.STATE, 'joints': BY_JOINT},
        'action': {'source': files.ACTION, 'joints': BY_JOINT},
        'cameras': {
            'head': 'observation.images.top',
            'hand_left': 'observation.images.wrist',
            'hand_right': 'observation.images.wrist',
        },
        'outcome': {'feature': 'next.success'},
    } | changes


def written(path: Path, document: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize('fps', [30, 15, 50])
def test_a_foreign_lerobot_data_set_becomes_frames_on_our_clock(tmp_path: Path, fps, capsys):
    """Columns go to our joints and units, its rate to ours, its success column to our verdict."""
    state = foreign_lerobot(tmp_path / 'cubes', fps, 2 * fps)
    yaml_path = written(tmp_path / 'map.yaml', mapping())
    arguments = [
        'import-lerobot',
        tmp_path / 'cubes',
        '--mapping',
        yaml_path,
        '--dir',
        tmp_path / 'r',
    ]
    replay_command_ok(*arguments, '--json')
    told = json.loads(capsys.readouterr().out)
    assert (told['taken'], told['refused']) == (2, {})
    replay = Replay.open(tmp_path / 'r')
    index = replay.index('offline')
    first, second = replay.episodes('offline')
    assert (first.outcome, second.outcome) == ('success', 'failure')
    assert first.instruction == 'pick the cube' and first.kind == 'demonstration'
    seen = slice(first.start, first.stop)
    assert first.stop - first.start == pytest.approx(60, abs=2)
    np.testing.assert_allclose(np.diff(index.stamp_s.data[seen]), 1 / 30, atol=1e-8)
    at = (index.stamp_s.data[seen] - 1.0) * fps
    row = np.floor(at + 1e-6).astype(int)
    names = list(PROFILE.state_columns)
    got = index.state.data[seen]
    np.testing.assert_allclose(got[:, 2], state[row, 2], atol=1e-6)
    np.testing.assert_allclose(got[:, names.index('gripper_l')], 1 - state[row, 17], atol=1e-6)
    np.testing.assert_allclose(got[:, names.index('idx02_body_joint2')], 0.25)
    velocity = np.diff(state[:, 2], prepend=state[:1, 2]) * fps
    np.testing.assert_allclose(
        got[:, names.index('velocity/idx21_arm_l_joint1')], velocity[row], atol=1e-4
    )
    assert not got[:, names.index('velocity/idx02_body_joint2')].any()
    np.testing.assert_allclose(index.action.data[seen][:, 0], state[row, 2], atol=1e-6)
    images = replay.images(replay.global_rows('offline', np.arange(first.start, first.stop)))
    assert images.shape[1:] == (3, 64, 64, 3)
    wrist = np.stack([scene(9, i) for i in row])
    assert psnr(images[:, 1], wrist).min() > PSNR_FRAME
    assert (index.source.data == 2).all()


def write_bag(
    path: Path,
    plugin: StoragePlugin,
    *,
    raw_images: bool = False,
    split_grippers: bool = False,
    command_hz: float | None = 30.0,
    seconds: float = 2.0,
    joint_hz: float = 100.0,
    apart_ms: int = 0,
    late_s: float | None = None,
    nan: str = '',
) -> None:
    """A bag of a robot that never heard of us: JointState, commands as JointTrajectory, three cameras at 10 Hz.

    The messages of arms, grippers and the rest are `apart_ms` apart; from `late_s` on there is a
    joint that we have no use for; `nan` has no position.
    """
    header_type, time_type = (
        STORE.types[name] for name in ('std_msgs/msg/Header', 'builtin_interfaces/msg/Time')
    )
    types = {
        '/joint_states': 'sensor_msgs/msg/JointState',
        '/command': 'trajectory_msgs/msg/JointTrajectory',
        **{
            f'/{camera}': f'sensor_msgs/msg/{"Image" if raw_images else "CompressedImage"}'
            for camera in ('top', 'left', 'right')
        },
    }

    def header(ns: int):
        return header_type(time_type(ns // 10**9, ns % 10**9), 'base')

    def joint_state(ns: int, names: list[str], values):
        t = STORE.types['sensor_msgs/msg/JointState']
        return t(header(ns), names, values, values * 0 + 0.5, values * 0)

    messages = []
    start = 10**12
    for tick in range(round(joint_hz * seconds)):
        ns = start + round(tick * 1e9 / joint_hz)
        values = np.sin(tick / joint_hz + np.arange(20)) * 0.3
        values[[name == nan for name in THEIR]] = np.nan
        edges = (0, 16, 18, 20) if split_grippers else (0, 20)
        parts = [slice(*edge) for edge in pairwise(edges)]
        for number, part in enumerate(parts):
            at = ns + number * apart_ms * 10**6
            messages.append((at, '/joint_states', joint_state(at, THEIR[part], values[part])))
        if late_s is not None and tick >= late_s * joint_hz:
            late = joint_state(ns, ['their_hat'], np.zeros(1))
            messages.append((ns, '/joint_states', late))
    point_type = STORE.types['trajectory_msgs/msg/JointTrajectoryPoint']
    duration = STORE.types['builtin_interfaces/msg/Duration'](0, 0)
    for tick in range(round((command_hz or 0) * seconds)):
        ns = start + 5 * 10**7 + round(tick * 1e9 / (command_hz or 1))
        values = np.full(20, tick / 100)
        nothing = np.empty(0)
        point = point_type(values, nothing, nothing, nothing, duration)
        t = STORE.types['trajectory_msgs/msg/JointTrajectory']
        messages.append((ns, '/command', t(header(ns), THEIR, [point])))
    for tick in range(round(10 * seconds)):
        ns = start + tick * 10**8
        for number, camera in enumerate(('top', 'left', 'right')):
            image = scene(number, tick)
            if raw_images:
                t = STORE.types['sensor_msgs/msg/Image']
                bgr = np.ascontiguousarray(image[..., ::-1])
                message = t(header(ns), 64, 64, 'bgr8', 0, 192, bgr.reshape(-1))
            else:
                t = STORE.types['sensor_msgs/msg/CompressedImage']
                png = cv2.imencode('.png', image[..., ::-1])[1]
                message = t(header(ns), 'png', png)
            messages.append((ns, f'/{camera}', message))
    with Writer(path, version=9, storage_plugin=plugin) as bag:
        connections = {
            topic: bag.add_connection(topic, name, typestore=STORE)
            for topic, name in types.items()
        }
        for ns, topic, message in sorted(messages, key=lambda entry: entry[0]):
            data = STORE.serialize_cdr(message, types[topic])
            bag.write(connections[topic], ns + 10**6, data)


def bag_mapping(**changes: object) -> dict[str, object]:
    return mapping(
        instruction='pick the cube',
        outcome='',
        state={'source': '/joint_states', 'joints': BY_JOINT},
        action={'source': '/command', 'joints': BY_JOINT},
        cameras={'head': '/top', 'hand_left': '/left', 'hand_right': '/right'},
        **changes,
    )


@pytest.mark.parametrize(
    ('plugin', 'raw_images', 'split_grippers'),
    [(StoragePlugin.MCAP, False, False), (StoragePlugin.SQLITE3, True, True)],
)
def test_plain_bags_become_frames(tmp_path: Path, plugin, raw_images, split_grippers, capsys):
    write_bag(
        tmp_path / 'bags' / 'pick_1', plugin, raw_images=raw_images, split_grippers=split_grippers
    )
    yaml_path = written(tmp_path / 'map.yaml', bag_mapping())
    arguments = ['import-bags', tmp_path / 'bags', '--mapping', yaml_path, '--dir', tmp_path / 'r']
    replay_command_ok(*arguments, '--outcome', 'success')
    assert '1 episodes taken' in capsys.readouterr().out
    replay_command_ok(*arguments, '--outcome', 'success')
    assert '0 episodes taken (0 frames), 1 were there' in capsys.readouterr().out
    replay = Replay.open(tmp_path / 'r')
    index, (facts,) = replay.index('offline'), replay.episodes('offline')
    assert facts.episode_id.startswith('theirs_01-pick-1-') and facts.outcome == 'success'
    np.testing.assert_allclose(index.action.data[:, 0], np.arange(60) / 100, atol=1e-6)
    ticks = np.minimum(np.floor((index.stamp_s.data - 1000) * 100 + 1e-6), 199)
    np.testing.assert_allclose(index.state.data[:, 3], 0.3 * np.sin(ticks / 100 + 3), atol=1e-6)
    images = replay.images(replay.global_rows('offline', np.arange(len(index))))
    shown = np.minimum(np.floor((index.stamp_s.data - 1000) * 10 + 1e-6).astype(int), 19)
    for number in range(3):
        expected = np.stack([scene(number, i) for i in shown])
        assert psnr(images[:, number], expected).min() > PSNR_FRAME


def test_measured_velocities_and_the_next_state_as_action(tmp_path: Path):
    """A recording without commands: the action is where the robot was one tick later."""
    write_bag(tmp_path / 'bag', StoragePlugin.MCAP, command_hz=None)
    document = bag_mapping() | {
        'action': 'next_state',
        'state': {'source': '/joint_states', 'joints': BY_JOINT, 'velocity': 'message'},
    }
    (tmp_path / 'labels.csv').write_text('episode,outcome,task\nbag,failure,stack\n')
    replay_command_ok(
        'import-bags', tmp_path / 'bag', '--mapping', written(tmp_path / 'm.yaml', document),
        '--labels', tmp_path / 'labels.csv', '--dir', tmp_path / 'r',
    )  # fmt: skip
    replay = Replay.open(tmp_path / 'r')
    index, (facts,) = replay.index('offline'), replay.episodes('offline')
    assert (facts.outcome, facts.task) == ('failure', 'stack')
    columns = list(PROFILE.action_columns_in_state())
    limits = PROFILE.limits('lower'), PROFILE.limits('upper')
    overshoot = np.clip(index.state.data[1:, columns], *limits)
    far = np.abs(index.state.data[1:, columns] - overshoot) > 0.05 * (limits[1] - limits[0])
    later = np.where(far, index.state.data[1:, columns], overshoot)
    assert (overshoot != index.state.data[1:, columns]).any()
    np.testing.assert_allclose(
        index.action.data[:-1], later, atol=0.0031
    )  # 1 of 100 Hz apart at most
    names = list(PROFILE.state_columns)
    assert (index.state.data[:, names.index('velocity/idx21_arm_l_joint1')] == 0.5).all()
    assert (index.state.data[:, names.index('velocity/gripper_l')] == -0.5).all()
    assert (index.state.data[:, names.index('velocity/idx02_body_joint2')] == 0).all()


def import_bag(folder: Path, document: dict[str, object]) -> Replay:
    replay_command_ok(
        'import-bags', folder / 'bag', '--mapping', written(folder / 'm.yaml', document),
        '--outcome', 'success', '--dir', folder / 'r',
    )  # fmt: skip
    return Replay.open(folder / 'r')


def newest(stamp_s: np.ndarray, hz: float, late_s: float = 0.0) -> np.ndarray:
    """Number of the newest message of `write_bag` at each stamp."""
    return np.floor((stamp_s - 1000 - late_s) * hz + 1e-4)


def test_pictures_are_imported_at_the_size_that_the_profiles_policy_sees(tmp_path: Path):
    """As ingest does: the real robot's cameras differ in size, and a replay's may not."""
    write_bag(tmp_path / 'bag', StoragePlugin.MCAP)
    g1 = load_profile('g1')
    joints = dict(zip(g1.state_names, THEIR, strict=True))
    document = bag_mapping() | {
        'profile': 'g1',
        'state': {'source': '/joint_states', 'joints': joints},
        'action': {'source': '/command', 'joints': {j: joints[j] for j in g1.joint_names}},
        'cameras': dict(
            zip((camera.name for camera in g1.cameras), ('/top', '/left', '/right'), strict=True)
        ),
    }
    replay = import_bag(tmp_path, document)
    images = replay.images(replay.global_rows('offline', np.arange(3)))
    width, height = g1.policy_image_size
    assert images.shape == (3, 3, height, width, 3)


@pytest.mark.parametrize(('joint_hz', 'apart_ms'), [(100, 0), (100, 2), (30, 2)])
def test_joints_published_apart_have_each_its_own_velocity(tmp_path: Path, joint_hz, apart_ms):
    """Differences are taken between two messages of a joint, however many of others come between."""
    write_bag(
        tmp_path / 'bag', StoragePlugin.MCAP,
        split_grippers=True, joint_hz=joint_hz, apart_ms=apart_ms,
    )  # fmt: skip
    index = import_bag(tmp_path, bag_mapping()).index('offline')
    names = list(PROFILE.state_columns)
    stamps = index.stamp_s.data[index.stamp_s.data < 1002]
    assert len(stamps) > 55
    for name, theirs, sign, late_s in (
        ('idx21_arm_l_joint1', 2, 1, 0.0),
        ('gripper_l', 17, -1, apart_ms / 1000),
    ):
        tick = newest(stamps, joint_hz, late_s)
        moved = np.sin(tick / joint_hz + theirs) - np.sin((tick - 1) / joint_hz + theirs)
        got = index.state.data[: len(stamps), names.index(f'velocity/{name}')]
        np.testing.assert_allclose(got, sign * 0.3 * moved * joint_hz, atol=1e-4, err_msg=name)


@pytest.mark.parametrize('apart_ms', [0, 2])
def test_the_next_state_of_joints_published_apart_is_a_tick_later(tmp_path: Path, apart_ms):
    write_bag(
        tmp_path / 'bag', StoragePlugin.MCAP,
        split_grippers=True, apart_ms=apart_ms, command_hz=None,
    )  # fmt: skip
    index = import_bag(tmp_path, bag_mapping() | {'action': 'next_state'}).index('offline')
    assert len(index) >= 57
    assert np.diff(index.stamp_s.data).max() < 0.05
    tick = newest(index.stamp_s.data + 1 / 30, 100)
    np.testing.assert_allclose(index.action.data[:, 0], np.sin(tick / 100 + 2) * 0.3, atol=1e-4)


def test_a_joint_that_nobody_asked_for_costs_no_rows_by_coming_late(tmp_path: Path):
    write_bag(tmp_path / 'bag', StoragePlugin.MCAP, late_s=1.5)
    assert len(import_bag(tmp_path, bag_mapping()).index('offline')) == 60


def test_a_joint_without_a_position_is_named(tmp_path: Path, capsys):
    """Drivers that have no encoder at a joint publish NaN."""
    write_bag(tmp_path / 'bag', StoragePlugin.MCAP, nan='their_5')
    document = written(tmp_path / 'm.yaml', bag_mapping())
    arguments = ['import-bags', tmp_path / 'bag', '--mapping', document, '--dir', tmp_path / 'r']
    assert replay_command.main([*map(str, arguments), '--outcome', 'success']) == 1
    said = capsys.readouterr().err
    assert f'/joint_states never has a value for {PROFILE.state_names[5]}' in said


def test_a_damaged_episode_of_a_data_set_is_refused_and_the_others_go_on(tmp_path: Path, capsys):
    """A video cut short, a fact missing in meta: each refused with the reason, the rest is taken."""
    before = Replay.create(tmp_path / 'before', PROFILE)
    before.append('offline', [episode(i, kind='demonstration') for i in (1, 2, 3)])
    export_lerobot(before, tmp_path / 'out')
    (meta,) = (tmp_path / 'out/meta/episodes').glob('*/*.parquet')
    table = pq.read_table(meta).to_pylist()
    table[1]['videos/observation.images.head/from_timestamp'] = 1e4
    table[2]['lwd/seed'] = 'three'
    pq.write_table(pa.Table.from_pylist(table), meta)
    arguments = ['import-lerobot', str(tmp_path / 'out'), '--dir', str(tmp_path / 'r'), '--json']
    assert replay_command.main(arguments) == 1
    told = json.loads(capsys.readouterr().out)
    assert told['taken'] == 1 and set(told['refused']) == {'g1_01-0002', 'g1_01-0003'}
    assert 'frames from 10000.000 s on' in told['refused']['g1_01-0002']
    assert (
        "ValueError: invalid literal for int() with base 10: 'three'"
        in told['refused']['g1_01-0003']
    )


def test_an_episode_of_somebody_elses_data_is_known_by_its_rows(tmp_path: Path, capsys):
    """Not by the name of its folder: `data` is a common one. And a data set that has grown brings what is new."""
    yaml_path = written(tmp_path / 'map.yaml', mapping())

    def imported(folder: Path) -> tuple[int, int]:
        arguments = ['import-lerobot', folder, '--mapping', yaml_path, '--dir', tmp_path / 'r']
        replay_command_ok(*arguments, '--json')
        told = json.loads(capsys.readouterr().out)
        return told['taken'], told['known']

    foreign_lerobot(tmp_path / 'monday' / 'data', 30, 30)
    foreign_lerobot(tmp_path / 'tuesday' / 'data', 30, 40)
    foreign_lerobot(tmp_path / 'grown' / 'data', 30, 30, episodes=3)
    assert imported(tmp_path / 'monday' / 'data') == (2, 0)
    assert imported(tmp_path / 'tuesday' / 'data') == (2, 0)
    assert imported(tmp_path / 'monday' / 'data') == (0, 2)
    assert imported(tmp_path / 'grown' / 'data') == (1, 2)


def test_a_lost_file_of_somebody_elses_data_costs_its_episodes_alone(tmp_path: Path, capsys):
    foreign_lerobot(tmp_path / 'cubes', 30, 30)
    (meta,) = (tmp_path / 'cubes/meta/episodes').glob('*/*.parquet')
    table = pq.read_table(meta).to_pylist()
    table[0]['data/file_index'] = 7
    pq.write_table(pa.Table.from_pylist(table), meta)
    yaml_path = written(tmp_path / 'map.yaml', mapping())
    arguments = ['import-lerobot', tmp_path / 'cubes', '--mapping', yaml_path]
    assert replay_command.main([*map(str, arguments), '--dir', str(tmp_path / 'r'), '--json']) == 1
    told = json.loads(capsys.readouterr().out)
    assert told['taken'] == 1
    ((name, reason),) = told['refused'].items()
    assert name == 'cubes, episode 0' and 'file-007.parquet cannot be read' in reason


@pytest.mark.parametrize('option', ['--outcome', '--labels'])
def test_verdicts_for_an_export_of_ours_are_not_passed_over(tmp_path: Path, option, capsys):
    before = Replay.create(tmp_path / 'before', PROFILE)
    before.append('offline', [episode(1, kind='demonstration')])
    export_lerobot(before, tmp_path / 'out')
    (tmp_path / 'failure').write_text('episode,outcome\n0,failure\n')
    arguments = ['import-lerobot', tmp_path / 'out', '--dir', tmp_path / 'r', option]
    value = 'failure' if option == '--outcome' else tmp_path / 'failure'
    assert replay_command.main([*map(str, arguments), str(value)]) == 1
    said = capsys.readouterr().err
    assert option in said and 'replay relabel' in said
    assert not (tmp_path / 'r').exists()


def test_a_folder_without_data_and_a_compressed_bag_do_not_stop_the_others(tmp_path: Path, capsys):
    write_bag(tmp_path / 'bags' / 'good', StoragePlugin.MCAP)
    for name, file in (('empty', 'notes.txt'), ('packed', 'packed_0.db3.zstd')):
        (tmp_path / 'bags' / name).mkdir()
        (tmp_path / 'bags' / name / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}')
        (tmp_path / 'bags' / name / file).write_bytes(b'(\xb5/\xfd')
    yaml_path = written(tmp_path / 'm.yaml', bag_mapping())
    arguments = ['import-bags', tmp_path / 'bags', '--mapping', yaml_path, '--dir', tmp_path / 'r']
    assert replay_command.main([*map(str, arguments), '--outcome', 'success', '--json']) == 1
    told = json.loads(capsys.readouterr().out)
    assert told['taken'] == 1 and len(told['refused']) == 2
    assert 'holds no .mcap or .db3' in told['refused'][str(tmp_path / 'bags' / 'empty')]
    assert 'packed_0.db3.zstd is compressed' in told['refused'][str(tmp_path / 'bags' / 'packed')]


def test_a_bag_that_does_not_fit_is_refused_with_the_reason_and_the_others_go_on(
    tmp_path: Path, capsys
):
    write_bag(tmp_path / 'bags' / 'good', StoragePlugin.MCAP)
    write_bag(tmp_path / 'bags' / 'still', StoragePlugin.MCAP, command_hz=None, seconds=1)
    write_bag(tmp_path / 'bags' / 'cut', StoragePlugin.MCAP, seconds=1.5)
    (data,) = (tmp_path / 'bags' / 'cut').glob('*.mcap')
    data.write_bytes(data.read_bytes()[:30_000])
    yaml_path = written(tmp_path / 'm.yaml', bag_mapping())
    arguments = ['import-bags', tmp_path / 'bags', '--mapping', yaml_path, '--dir', tmp_path / 'r']
    assert replay_command.main([*map(str, arguments), '--outcome', 'success', '--json']) == 1
    told = json.loads(capsys.readouterr().out)
    assert told['taken'] == 1 and len(told['refused']) == 2
    reasons = ' '.join(told['refused'].values())
    assert 'no samples of /command' in reasons and 'cut cannot be read' in reasons
    assert replay_command.main([str(argument) for argument in arguments]) == 1
    assert 'no verdict for still' in capsys.readouterr().err


def test_the_examples_of_the_documentation_are_mappings():
    examples = Path(__file__).parents[3] / 'docs' / 'examples'
    for name in ('import_lerobot.yaml', 'import_bags.yaml'):
        assert load_mapping(examples / name).profile == PROFILE.name


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'colour': 'red'}, 'unknown colour'),
        ({'state': {'source': 'x', 'joints': 'some'}}, 'expected same, or a mapping by joint'),
        ({'state': {'source': 'x', 'joints': {'a': {'scale': 2}}}}, "state.a is {'scale': 2}"),
        ({'kind': 'rollout'}, "kind is 'rollout'"),
        ({'outcome': 'won'}, "outcome is 'won'"),
        ({'image_size': 64}, 'expected \\[width, height\\]'),
        ({'cameras': ['a']}, 'our camera: their feature or topic'),
    ],
)
def test_a_mapping_that_is_not_understood_is_refused_by_name(change, message):
    with pytest.raises(InteropError, match=message):
        parse_mapping(mapping() | change)


def test_what_a_mapping_leaves_out_is_named(tmp_path: Path, capsys):
    foreign_lerobot(tmp_path / 'cubes', 30, 10, episodes=1)
    base = ['import-lerobot', str(tmp_path / 'cubes'), '--dir', str(tmp_path / 'r')]
    assert replay_command.main(base) == 1
    assert 'give a --mapping' in capsys.readouterr().err
    joints = {joint: entry for joint, entry in BY_JOINT.items() if joint != 'gripper_r'}
    wrong = {
        'no joint gripper_r': {'state': {'source': files.STATE, 'joints': joints}},
        "no column 'their_99'": {
            'state': {'source': files.STATE, 'joints': BY_JOINT | {'gripper_r': 'their_99'}}
        },
        "has no feature 'observation.pose'": {'state': {'source': 'observation.pose'}},
        "no camera 'observation.images.side'": {
            'cameras': mapping()['cameras'] | {'head': 'observation.images.side'}
        },
        'the mapping has no camera hand_right': {
            'cameras': {'head': 'observation.images.top', 'hand_left': 'observation.images.top'}
        },
        'no verdict for episode 0': {'outcome': ''},
    }
    for message, change in wrong.items():
        path = written(tmp_path / 'm.yaml', mapping() | change)
        assert replay_command.main([*base, '--mapping', str(path)]) == 1
        assert message in capsys.readouterr().err
