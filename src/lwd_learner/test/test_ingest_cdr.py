"""The hand-written decoder agrees with ROS's serializer, and refuses what does not add up."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_learner.ingest import DamagedEpisodeError, StreamLimits
from lwd_learner.ingest.cdr import CdrReader
from lwd_learner.ingest.streams import Decoder
from lwd_policy_node.profile import load_profile
from rclpy.serialization import serialize_message

from lwd_msgs.msg import ExecutedAction

PROFILE = load_profile('g1_laptop')


def action(frame_id: str, names: list[str], **fields) -> bytes:
    message = ExecutedAction(
        episode_id='e-1',
        tick=2**63,
        source=2,
        joint_names=names,
        position=[0.01 * names.index(name) for name in names],
        wish=[1.0] * 16,
        clamps=[1] * 16,
        policy_version=2**40,
        chunk_id=9,
        reason='stall',
        **fields,
    )
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 345
    return serialize_message(message)


def decoder() -> Decoder:
    return Decoder('e-1', PROFILE, StreamLimits())


@given(
    st.lists(st.sampled_from(['', 'base', 'a_frame', 'b']), min_size=1, max_size=4), st.booleans()
)
@settings(max_examples=30, deadline=None)
def test_executed_action_as_ros_writes_it(frame_ids, shuffled):
    """Frame ids of any length shift the fields behind; joints come in the profile's order."""
    names = list(PROFILE.joint_names)
    if shuffled:
        names.reverse()
    reader = decoder()
    for frame_id in frame_ids:
        reader.executed_action(action(frame_id, names))
    stream = reader.finish().commands
    assert stream.stamps_ns == [12_000_000_345] * len(frame_ids)
    for command in stream.values:
        expected = [0.01 * names.index(name) for name in PROFILE.joint_names]
        np.testing.assert_array_equal(command.action, expected)
        assert (command.source, command.policy_version) == (2, 2**40)


@given(st.binary(max_size=60), st.integers(0, 500), st.integers(0, 500))
@settings(max_examples=300, deadline=None)
def test_bent_messages_are_refused_and_nothing_worse(noise, at, cut):
    """Overwritten or cut bytes give a message or DamagedEpisodeError, never another error or a huge allocation."""
    data = bytearray(action('base', list(PROFILE.joint_names)))
    at %= len(data)
    data[at : at + len(noise)] = noise
    if cut < len(data) // 2:
        del data[-cut:]
    reader = decoder()
    for handle, _ in zip([reader.executed_action] * 2, range(2), strict=True):
        with contextlib.suppress(DamagedEpisodeError):
            handle(bytes(data))
    for handle in (reader.joint_state, reader.sim_state):
        with contextlib.suppress(DamagedEpisodeError):
            handle(bytes(data))


def test_big_endian_is_read_too():
    cdr = CdrReader(b'\x00\x00\x00\x00' + (7).to_bytes(4, 'big') + (5).to_bytes(4, 'big'))
    assert cdr.stamp_ns() == 7_000_000_005


def test_claims_beyond_the_bytes_are_refused():
    with pytest.raises(DamagedEpisodeError, match='a list of 4294967295 strings'):
        CdrReader(b'\x00\x01\x00\x00\xff\xff\xff\xff').strings()
    with pytest.raises(DamagedEpisodeError, match='a message ends after 8 bytes'):
        CdrReader(b'\x00\x01\x00\x00\xff\xff\xff\x0f').doubles()
    with pytest.raises(DamagedEpisodeError, match='plain CDR'):
        CdrReader(b'\x00\x07\x00\x00')
