"""A bag holds what was written, opens in three readers, and a damaged one is never taken for whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lwd_recorder.bag import (
    BagError,
    BagWriter,
    OfferedQos,
    SchemaError,
    bag_topics,
    message_definition,
    message_definitions,
    read_bag,
)
from lwd_recorder.bag.schema import type_hash
from lwd_recorder.manifest import file_record
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

Maker = Callable[..., SimpleNamespace]


@pytest.mark.parametrize('compression', ['lz4', 'zstd', 'none'])
def test_three_readers_see_the_same_messages(
    tmp_path: Path, make_bag: Maker, compression: str
) -> None:
    """Counts, topics, types, times and bytes agree in our reader, in `mcap` and in `rosbags`."""
    bag = make_bag(tmp_path / 'ep', compression=compression)
    assert [tuple(message) for message in read_bag(bag.folder)] == bag.written

    with (bag.folder / 'ep_0.mcap').open('rb') as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == 'ros2'
        assert reader.get_header().library == 'lwd'
        seen = [
            (channel.topic, schema.name, message.data, message.log_time)
            for schema, channel, message in reader.iter_messages(log_time_order=False)
            if schema is not None
        ]
    assert seen == bag.written

    with Reader(bag.folder) as reader:
        assert reader.message_count == len(bag.written)
        seen = [(c.topic, c.msgtype, bytes(raw), ns) for c, ns, raw in reader.messages()]
    assert sorted(seen) == sorted(bag.written)


def test_decodes_without_our_packages(tmp_path: Path, make_bag: Maker) -> None:
    """The embedded definitions, nested types included, are all that a reader needs."""
    bag = make_bag(tmp_path / 'ep')
    types = get_typestore(Stores.EMPTY)
    for type_name, text in message_definitions(bag.folder).items():
        types.register(get_types_from_msg(text, type_name))
    for i, (_, type_name, data, _) in enumerate(read_bag(bag.folder)):
        message = types.deserialize_cdr(data, type_name)
        assert message.header.stamp.nanosec == i // 2 * 33_000_000 % 10**9  # type: ignore[attr-defined]
        assert type_hash(type_name) == types.hash_rihs01(type_name)


@pytest.mark.parametrize(
    'name',
    [
        'ActionChunk',
        'ControlMode',
        'Episode',
        'ExecutedAction',
        'RobotStatus',
        'SimState',
        'TeleopCommand',
    ],
)
def test_definitions_of_our_messages_are_complete(name: str) -> None:
    """rosbags, which refuses an unknown nested type, reads each and computes ROS's own hash."""
    type_name = f'lwd_msgs/msg/{name}'
    types = get_typestore(Stores.EMPTY)
    types.register(get_types_from_msg(message_definition(type_name), type_name))
    assert types.hash_rihs01(type_name) == type_hash(type_name)


@pytest.mark.parametrize(
    'name', ['lwd_msgs/msg/Nothing', 'nowhere/msg/Header', 'Header', '../x/msg/Y']
)
def test_unknown_types_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SchemaError, match=r'Nothing|Header|x/msg/Y'):
        BagWriter(tmp_path / 'ep').write('/a', name, b'\0\1\0\0', 0)


def test_metadata_is_what_rosbag2_writes(tmp_path: Path, make_bag: Maker) -> None:
    """Version 9, counts, times, QoS and hashes are where `ros2 bag info|play` looks for them."""
    qos = {'/g1_01/camera/head/image/compressed': OfferedQos('best_effort', depth=5)}
    bag = make_bag(tmp_path / 'ep', qos=qos, custom_data={'episode_id': 'ep'})
    text = (bag.folder / 'metadata.yaml').read_text()
    assert '&' not in text
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert information['version'] == 9
    assert information['storage_identifier'] == 'mcap'
    assert information['relative_file_paths'] == ['ep_0.mcap']
    assert information['message_count'] == 60
    assert information['starting_time']['nanoseconds_since_epoch'] == 1_000_000
    assert information['duration']['nanoseconds'] == 29 * 33_000_000
    assert information['custom_data'] == {'episode_id': 'ep'}
    topics = {
        one['topic_metadata']['name']: one for one in information['topics_with_message_count']
    }
    camera = topics['/g1_01/camera/head/image/compressed']
    assert camera['message_count'] == 30
    assert camera['topic_metadata']['offered_qos_profiles'][0]['reliability'] == 'best_effort'
    assert camera['topic_metadata']['type_description_hash'].startswith('RIHS01_')
    assert [topic.message_count for topic in bag_topics(bag.folder)] == [30, 30]
    with Reader(bag.folder) as reader:
        offered = reader.connections[1].ext.offered_qos_profiles[0]  # type: ignore[union-attr]
        assert offered.reliability.name == 'BEST_EFFORT'


def test_summary_is_measured(tmp_path: Path, make_bag: Maker) -> None:
    """Sizes and hashes taken while writing are those of the files; rates are of the stamps."""
    bag = make_bag(tmp_path / 'ep')
    for record in bag.summary.files:
        assert record == file_record(bag.folder / record.name)
    topic = bag.summary.topics['/g1_01/joint_states']
    assert topic.count == 30
    assert topic.rate_hz == pytest.approx(1 / 0.033, rel=1e-3)
    assert topic.max_gap_s == pytest.approx(0.033)
    assert bag.summary.message_count == 60


def test_pause_before_the_episode_is_no_gap(tmp_path: Path, make_bag: Maker) -> None:
    bag = make_bag(tmp_path / 'ep', measure_from_ns=20 * 33_000_000)
    topic = bag.summary.topics['/g1_01/joint_states']
    assert topic.count == 30
    assert topic.rate_hz == pytest.approx(1 / 0.033, rel=1e-3)


def test_one_topic_has_one_type(tmp_path: Path, make_bag: Maker, messages: object) -> None:
    with BagWriter(tmp_path / 'ep') as bag:
        bag.add_topic('/a', 'sensor_msgs/msg/JointState')
        with pytest.raises(BagError, match='JointState'):
            bag.add_topic('/a', 'sensor_msgs/msg/CompressedImage')


def test_a_bag_is_never_written_over(tmp_path: Path, make_bag: Maker) -> None:
    make_bag(tmp_path / 'ep')
    with pytest.raises(BagError, match='not empty'):
        BagWriter(tmp_path / 'ep')


def test_empty_bag_is_valid(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'ep'):
        pass
    assert list(read_bag(tmp_path / 'ep')) == []


def test_unclosed_bag_says_so(tmp_path: Path, messages: object) -> None:
    """What a killed recorder leaves is not read as an episode."""
    bag = BagWriter(tmp_path / 'ep')
    bag.add_topic('/a', 'sensor_msgs/msg/JointState')
    bag.abandon()
    with pytest.raises(BagError, match='never closed'):
        list(read_bag(tmp_path / 'ep'))


def test_metadata_cannot_point_outside(tmp_path: Path, make_bag: Maker) -> None:
    bag = make_bag(tmp_path / 'ep')
    metadata = bag.folder / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('ep_0.mcap', '../secret.mcap'))
    with pytest.raises(BagError, match='leaves the folder'):
        list(read_bag(bag.folder))


def test_missing_messages_are_noticed(tmp_path: Path, make_bag: Maker) -> None:
    bag = make_bag(tmp_path / 'ep')
    metadata = bag.folder / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 60', 'message_count: 61'))
    with pytest.raises(BagError, match='promises 61'):
        list(read_bag(bag.folder))


@pytest.fixture(scope='module')
def whole_bag(tmp_path_factory: pytest.TempPathFactory, messages: object) -> Path:
    folder = tmp_path_factory.mktemp('whole') / 'ep'
    with BagWriter(folder, chunk_size_bytes=4096) as bag:
        for i in range(40):
            data = messages.image(i * 10**8, size=500, seed=i)  # type: ignore[attr-defined]
            bag.write('/a', 'sensor_msgs/msg/CompressedImage', data, i * 10**8)
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_truncated_bag_is_named(
    whole_bag: Path, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp('cut') / 'ep'
    shutil.copytree(whole_bag, folder)
    data = (folder / 'ep_0.mcap').read_bytes()
    (folder / 'ep_0.mcap').write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BagError, match=r'ep_0\.mcap'):
        list(read_bag(folder))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(position=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_flipped_bit_never_changes_a_message(
    whole_bag: Path, tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    """A flip in a chunk is a BagError; elsewhere (an index that we do not use) it may pass, harmless."""
    folder = tmp_path_factory.mktemp('flip') / 'ep'
    shutil.copytree(whole_bag, folder)
    data = bytearray((folder / 'ep_0.mcap').read_bytes())
    data[position % len(data)] ^= 1 << bit
    (folder / 'ep_0.mcap').write_bytes(data)
    whole = [message[:3] for message in read_bag(whole_bag)]
    try:
        assert [message[:3] for message in read_bag(folder)] == whole
    except BagError as error:
        assert 'ep_0.mcap' in str(error)
