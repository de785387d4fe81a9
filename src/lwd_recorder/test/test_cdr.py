"""Fields read out of raw bytes are those that ROS's own serializer put there."""

from __future__ import annotations

import pytest
from lwd_recorder.recording.cdr import CdrCursor, CdrError, stamp_ns
from lwd_recorder.recording.facts import ControlFacts
from rclpy.serialization import serialize_message

from lwd_msgs.msg import ExecutedAction


def executed(second: float, source: int, episode_id: str = 'ep', version: int = 4) -> bytes:
    message = ExecutedAction(
        episode_id=episode_id,
        tick=9,
        source=source,
        joint_names=['a', 'bcd', 'ef'],
        position=[0.5, 1.5, 2.5],
        wish=[0.5, 1.5, 2.5],
        clamps=[0, 1, 2],
        policy_version=version,
    )
    message.header.stamp.sec = int(second)
    message.header.stamp.nanosec = round(second % 1 * 1e9)
    message.header.frame_id = 'base_link'
    return bytes(serialize_message(message))


def test_stamp_is_read() -> None:
    assert stamp_ns(executed(12.25, 1)) == 12_250_000_000


def test_a_stamp_before_all_time_is_refused() -> None:
    data = bytearray(executed(12.25, 1))
    data[4:8] = (-1).to_bytes(4, 'little', signed=True)
    with pytest.raises(CdrError, match='before all time'):
        stamp_ns(bytes(data))


def test_facts_of_an_episode() -> None:
    """Two spells of a human, the versions of the policy between them, nothing of another episode."""
    facts = ControlFacts()
    sources = [1, 1, 2, 2, 2, 1, 0, 2, 2, 1]
    for i, source in enumerate(sources):
        facts.add(executed(i * 0.1, source, version=4 + (i > 4)), 'ep')
    facts.add(executed(5.0, 2, episode_id='next', version=9), 'ep')
    assert facts.policy_versions == {4, 5}
    assert facts.takeovers == 2
    assert facts.human_ns == pytest.approx(0.3e9, rel=1e-6)
    assert facts.unreadable == 0


def test_versions_are_right_at_any_alignment() -> None:
    facts = ControlFacts()
    for length in range(9):
        facts.add(executed(1.0, 1, episode_id='e' * length, version=100 + length), 'e' * length)
    assert facts.policy_versions == set(range(100, 109))


def test_short_messages_are_counted_not_believed() -> None:
    data = executed(1.0, 1)
    facts = ControlFacts()
    for length in range(len(data) - 40):
        facts.add(data[:length], 'ep')
    assert facts.policy_versions == set()
    assert facts.unreadable > 0


@pytest.mark.parametrize('data', [b'', b'\x00\x00\x00\x00' + b'\0' * 8, b'\x00\x01\x00\x00\x01'])
def test_what_is_no_cdr_is_refused(data: bytes) -> None:
    with pytest.raises(CdrError):
        stamp_ns(data)


def test_text_cannot_pass_the_end() -> None:
    with pytest.raises(CdrError, match='passes the end'):
        CdrCursor(b'\x00\x01\x00\x00' + b'\xff\xff\xff\x7f').text()
