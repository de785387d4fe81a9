"""A bag holds what was written, opens in three readers, and a damaged one is never taken for whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lwd_recorder.bag import (
    BagError,
    BagMessage,
    BagWriter,
    OfferedQos,
    SchemaError,
    TopicOptions,
    bag_topics,
    message_definition,
    message_definitions,
    read_bag,
)
from lwd_recorder.bag.measure import StreamMeasure
from lwd_recorder.bag.schema import type_hash
from lwd_recorder.manifest import file_record
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

Maker = Callable[..., SimpleNamespace]


@pytest.mark.parametrize('compression', ['lz4', 'zstd', 'none'])
def test_three_readers_see_the_same_messages(
    tmp_path: Path, make_bag: Maker, compression: str
) -> None:
    """Counts, topics, types, times and bytes agree in our reader, in `mcap` and in `rosbags`."""
    bag = make_bag(tmp_path / 'ep', default=TopicOptions(compression=compression))
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


def test_a_compression_that_no_reader_knows_is_refused(tmp_path: Path, make_bag: Maker) -> None:
    """Before a byte is written: the messages in such a chunk could never be read."""
    with pytest.raises(ValueError, match="'lz5' is unknown; one of: none, lz4, zstd"):
        make_bag(tmp_path / 'ep', default=TopicOptions(compression='lz5'))  # type: ignore[arg-type]


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
    options = {
        '/g1_01/camera/head/image/compressed': TopicOptions(OfferedQos('best_effort', depth=5))
    }
    bag = make_bag(tmp_path / 'ep', options=options, custom_data={'episode_id': 'ep'})
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


@pytest.mark.parametrize('by', [{'max_file_bytes': 30_000}, {'max_file_s': 0.3}])
@pytest.mark.parametrize('finisher', [None, 'thread'])
def test_split_bag_has_no_gap(
    tmp_path: Path, make_bag: Maker, by: dict[str, float], finisher: str | None
) -> None:
    """By size and by time: every message once and in order, each file readable alone, all listed everywhere."""
    with ThreadPoolExecutor(1) as pool:
        bag = make_bag(tmp_path / 'ep', count=60, finisher=pool if finisher else None, **by)
    names = [file.name for file in bag.summary.files]
    assert names == [*(f'ep_{i}.mcap' for i in range(len(names) - 1)), 'metadata.yaml']
    assert len(names) > 4
    assert [tuple(message) for message in read_bag(bag.folder)] == bag.written
    assert [one for name in names[:-1] for one in read_bag(bag.folder / name)] == [
        BagMessage(*message) for message in bag.written
    ]
    with Reader(bag.folder) as reader:
        seen = [(c.topic, c.msgtype, bytes(raw), ns) for c, ns, raw in reader.messages()]
    assert sorted(seen) == sorted(bag.written)
    information = yaml.safe_load((bag.folder / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information'
    ]
    assert information['relative_file_paths'] == names[:-1]
    assert sum(file['message_count'] for file in information['files']) == 120
    alone = 0
    for record in bag.summary.files[:-1]:
        assert record == file_record(bag.folder / record.name)
        with (bag.folder / record.name).open('rb') as file:
            [metadata] = make_reader(file).iter_metadata()
        alone_says = yaml.safe_load(metadata.metadata['serialized_metadata'])
        assert alone_says['relative_file_paths'] == [record.name]
        alone += alone_says['message_count']
    assert alone == 120


def test_topics_are_compressed_each_in_its_way(
    tmp_path: Path, make_bag: Maker, messages: Any
) -> None:
    """JPEG is stored as it came, the rest shrinks, and a reader gets everything back in the order of reception."""
    camera, joints = '/g1_01/camera/head/image/compressed', '/g1_01/joint_states'
    bag = make_bag(
        tmp_path / 'ep', options={camera: TopicOptions(compression='none')}, chunk_size_bytes=9000
    )
    assert sorted(tuple(message)[3] for message in read_bag(bag.folder)) == [
        message[3] for message in bag.written
    ]
    assert sorted(map(tuple, read_bag(bag.folder))) == sorted(bag.written)
    with (bag.folder / 'ep_0.mcap').open('rb') as file:
        summary = make_reader(file, validate_crcs=True).get_summary()
    assert summary is not None
    topics = {channel.id: channel.topic for channel in summary.channels.values()}
    kinds = {
        (topics[channel], index.compression)
        for index in summary.chunk_indexes
        for channel in index.message_index_offsets
    }
    assert kinds == {(camera, ''), (joints, 'lz4')}
    packed = [index for index in summary.chunk_indexes if index.compression == 'lz4']
    assert sum(one.compressed_size for one in packed) < 0.6 * sum(
        one.uncompressed_size for one in packed
    )


def test_attachments_and_metadata_are_found(
    tmp_path: Path, messages: Any, make_bag: Maker
) -> None:
    with BagWriter(tmp_path / 'ep') as bag:
        bag.attach('profile.yaml', 'application/yaml', b'name: g1\n', 5)
        bag.write('/a', 'sensor_msgs/msg/JointState', messages.joint_state(7), 7)
        bag.describe('lwd', {'key': 'value'})
    assert len(list(read_bag(tmp_path / 'ep'))) == 1
    with (tmp_path / 'ep' / 'ep_0.mcap').open('rb') as file:
        reader = make_reader(file)
        [attachment] = reader.iter_attachments()
        found = {one.name: one.metadata for one in reader.iter_metadata()}
        summary = reader.get_summary()
    assert (attachment.name, attachment.data) == ('profile.yaml', b'name: g1\n')
    assert found['lwd'] == {'key': 'value'}
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.attachment_count == 1


def test_what_was_flushed_survives_a_kill(tmp_path: Path, messages: Any) -> None:
    """`flush` leaves nothing in our own memory: the file holds it, though nobody finished it."""
    bag = BagWriter(tmp_path / 'ep')
    for i in range(20):
        bag.write('/a', 'sensor_msgs/msg/JointState', messages.joint_state(i), i)
    bag.flush()
    bag.sync()
    data = bag.path.read_bytes()
    bag.abandon()
    (tmp_path / 'killed.mcap').write_bytes(data)
    found = []
    with (tmp_path / 'killed.mcap').open('rb') as file, suppress(EndOfFile):
        for record in StreamReader(file).records:
            if isinstance(record, Message):
                found.append(record.log_time)
    assert found == list(range(20))


def test_measures_are_of_the_stamps() -> None:
    """Two messages of a steady stream that never came, the silence at the end, and the time on the way."""
    measure = StreamMeasure(from_ns=10**9, periodic=True)
    for i in range(40):
        if i not in (20, 21):
            measure.add(10**9 + i * 10**7, 10**9 + i * 10**7 + 3 * 10**6)
    measure.end(10**9 + 39 * 10**7 + 5 * 10**7)
    record = measure.record('x')
    assert (record.count, record.missing) == (38, 2)
    assert record.max_gap_s == pytest.approx(0.05)
    assert record.latency_s == record.max_latency_s == pytest.approx(0.003)
