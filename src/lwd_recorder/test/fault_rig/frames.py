"""Messages whose bytes are known from an episode's name and a number: what was recorded can be compared to the byte."""

from __future__ import annotations

import random
import struct

from lwd_recorder.recording import RecordedTopic, robot_topics

ROBOT = 'g1_01'
TOPICS = [RecordedTopic(f'/{ROBOT}/{spec.name}', spec) for spec in robot_topics(['head'])]
INDEX = {topic.spec.name: index for index, topic in enumerate(TOPICS)}
_RUNNING, _ENDED, _SUCCESS = 1, 2, 1
_NS = 10**9


class Cdr:
    """Serializes fields in their order, little-endian."""

    def __init__(self) -> None:
        self.data = bytearray(b'\0\1\0\0')

    def number(self, kind: str, value: float) -> Cdr:
        size = struct.calcsize(kind)
        self.data += bytes((4 - len(self.data)) % size) + struct.pack(f'<{kind}', value)
        return self

    def text(self, value: str) -> Cdr:
        self.number('I', len(value) + 1).data.extend(value.encode() + b'\0')
        return self

    def header(self, stamp_ns: int) -> Cdr:
        return self.time(stamp_ns).text('')

    def time(self, ns: int) -> Cdr:
        return self.number('i', ns // _NS).number('I', ns % _NS)


def frame(episode_id: str, number: int, stamp_ns: int, image_bytes: int) -> tuple[int, bytes]:
    """Return topic and bytes of an episode's frame: joint states and images in turn."""
    cdr = Cdr().header(stamp_ns)
    if number % 2:
        pixels = random.Random(f'{episode_id} {number}').randbytes(image_bytes)
        cdr.text('jpeg').number('I', image_bytes).data.extend(pixels)
        return INDEX['camera/head/image/compressed'], bytes(cdr.data)
    cdr.number('I', 0).number('I', 1).number('d', number).number('I', 0).number('I', 0)
    return INDEX['joint_states'], bytes(cdr.data)


def episode_message(episode_id: str, started_ns: int, ended_ns: int = 0) -> bytes:
    """Return an Episode message: RUNNING, or ENDED with success if there is an end."""
    cdr = Cdr().header(ended_ns or started_ns).number('B', _ENDED if ended_ns else _RUNNING)
    for text in (episode_id, ROBOT, 'restock', 'put the red can on the shelf', 'rollout'):
        cdr.text(text)
    cdr.number('Q', 7).time(started_ns).time(ended_ns)
    cdr.number('B', _SUCCESS if ended_ns else 0).text('operator' if ended_ns else '')
    return bytes(cdr.data)


def is_frame(data: bytes, episode_id: str, number: int, image_bytes: int) -> bool:
    """Return whether recorded bytes are an episode's frame of this number, whatever its stamp."""
    stamp_ns = struct.unpack_from('<i', data, 4)[0] * _NS + struct.unpack_from('<I', data, 8)[0]
    return data == frame(episode_id, number, stamp_ns, image_bytes)[1]
