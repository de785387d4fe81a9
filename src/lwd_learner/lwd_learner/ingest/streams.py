"""A bag's messages as time-stamped streams: the fields that become frames, nothing else.

The layouts read here are those of sensor_msgs/JointState and CompressedImage and of lwd_msgs/ExecutedAction
and SimState; a test serializes each with ROS's own code and reads it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from lwd_policy_node.profile import Camera, RobotProfile
from lwd_recorder.bag import BagError, read_bag

from lwd_learner.ingest.cdr import CdrReader
from lwd_learner.ingest.errors import DamagedEpisodeError

TYPES = {
    'joint_states': 'sensor_msgs/msg/JointState',
    'executed_action': 'lwd_msgs/msg/ExecutedAction',
    'sim/state': 'lwd_msgs/msg/SimState',
}
IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Sizes beyond which a bag is not believed."""

    max_messages: int = 5_000_000
    """Messages of the topics that are read."""
    max_bytes: int = 2 << 30
    """Bytes of them, unpacked."""
    max_image_bytes: int = 8 << 20
    """Bytes of one image."""
    verify_images: bool = True
    """Decode every image once (at an eighth of its size) so that a broken one is found here, not in training."""


@dataclass(slots=True)
class Stream:
    """Samples in order of stamp once `sort` was called."""

    stamps_ns: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, stamp_ns: int, value: object) -> None:
        """Append one sample."""
        self.stamps_ns.append(stamp_ns)
        self.values.append(value)

    def sort(self) -> npt.NDArray[np.int64]:
        """Order by stamp, later arrivals after earlier ones of the same stamp; answers the stamps."""
        stamps = np.array(self.stamps_ns, np.int64)
        if len(stamps) > 1 and (np.diff(stamps) < 0).any():
            order = np.argsort(stamps, kind='stable')
            self.values = [self.values[i] for i in order.tolist()]
            stamps = stamps[order]
            self.stamps_ns = stamps.tolist()
        return stamps

    def __len__(self) -> int:
        return len(self.stamps_ns)


@dataclass(frozen=True, slots=True)
class Command:
    """What frames keep of one ExecutedAction."""

    action: npt.NDArray[np.float64]
    source: int
    policy_version: int


@dataclass(slots=True)
class EpisodeStreams:
    """The streams of one episode."""

    states: Stream = field(default_factory=Stream)
    """(S,) float64 positions, then velocities."""
    commands: Stream = field(default_factory=Stream)
    """`Command`s of this episode."""
    labels: Stream = field(default_factory=Stream)
    """(L,) float32 simulator labels; empty on a real robot."""
    images: dict[str, Stream] = field(default_factory=dict)
    """Per camera, JPEG bytes."""
    label_names: tuple[str, ...] = ()


def read_streams(
    bag: Path, robot_id: str, episode_id: str, profile: RobotProfile, limits: StreamLimits
) -> EpisodeStreams:
    """Read one episode's bag.

    Raises:
        DamagedEpisodeError: the bag is damaged, beyond the limits, of other message types, or does not fit the profile.
    """
    decoder = _Decoder(episode_id, profile, limits)
    handlers = decoder.handlers(f'/{robot_id}')
    messages = size = 0
    try:
        for topic, type_name, data, _ in read_bag(bag, list(handlers)):
            wanted, handle = handlers[topic]
            if type_name != wanted:
                raise DamagedEpisodeError(f'{topic} is of type {type_name}, expected {wanted}')
            messages += 1
            size += len(data)
            if messages > limits.max_messages or size > limits.max_bytes:
                raise DamagedEpisodeError(
                    f'more than {limits.max_messages} messages or {limits.max_bytes} bytes in the bag; '
                    'raise the limits of ingest if that is right'
                )
            handle(data)
    except BagError as error:
        raise DamagedEpisodeError(f'the bag is not readable: {error.reason}') from error
    return decoder.streams


class _Decoder:
    def __init__(self, episode_id: str, profile: RobotProfile, limits: StreamLimits) -> None:
        self._episode_id = episode_id
        self._profile = profile
        self._limits = limits
        self._action_order = _NameOrder('executed_action', profile.joint_names)
        self._state_order = _NameOrder('joint_states', profile.state_names)
        self.streams = EpisodeStreams(images={camera.name: Stream() for camera in profile.cameras})

    def handlers(self, namespace: str) -> dict[str, tuple[str, Callable[[bytes], None]]]:
        of: dict[str, Callable[[bytes], None]] = {
            'joint_states': self._joint_state,
            'executed_action': self._executed_action,
            'sim/state': self._sim_state,
        }
        handlers = {f'{namespace}/{topic}': (TYPES[topic], handle) for topic, handle in of.items()}
        for camera in self._profile.cameras:
            handlers[f'{namespace}/{camera.topic}'] = (IMAGE_TYPE, self._image_handler(camera))
        return handlers

    def _joint_state(self, data: bytes) -> None:
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        positions = self._state_order.read(cdr, cdr.doubles)
        velocities = self._state_order.more('velocity', cdr.doubles())
        self.streams.states.add(stamp, np.concatenate([positions, velocities]))

    def _executed_action(self, data: bytes) -> None:
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        if cdr.string() != self._episode_id:
            return  # pre-roll, or the moments after the end
        cdr.number('Q', 8)  # tick
        source = cdr.number('B', 1)
        action = self._action_order.read(cdr, cdr.doubles)
        cdr.skip_doubles()  # wish
        cdr.octets()  # clamps
        self.streams.commands.add(stamp, Command(action, source, cdr.number('Q', 8)))

    def _sim_state(self, data: bytes) -> None:
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        cdr.skip_string()  # task
        cdr.number('Q', 8)  # seed
        cdr.number('Q', 8)  # tick
        for _ in range(3):
            cdr.skip_doubles()  # qpos, qvel, ctrl
        label = cdr.floats()
        names = cdr.strings()
        if len(names) != len(label):
            raise DamagedEpisodeError(f'sim/state has {len(label)} labels and {len(names)} names')
        if self.streams.label_names not in ((), names):
            return  # another task's labels, from before the reset
        self.streams.label_names = names
        self.streams.labels.add(stamp, label)

    def _image_handler(self, camera: Camera) -> Callable[[bytes], None]:
        stream = self.streams.images[camera.name]

        def handle(data: bytes) -> None:
            cdr = CdrReader(data)
            stamp = cdr.stamp_ns()
            cdr.skip_string()
            cdr.skip_string()  # format
            stream.add(stamp, self._checked(camera, cdr.octets()))

        return handle

    def _checked(self, camera: Camera, jpeg: bytes) -> bytes:
        if len(jpeg) > self._limits.max_image_bytes:
            raise DamagedEpisodeError(f'{camera.name}: an image of {len(jpeg)} bytes')
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
            if (width, height) != (camera.width, camera.height):
                raise DamagedEpisodeError(
                    f'{camera.name}: an image of {width}x{height}, the profile says '
                    f'{camera.width}x{camera.height}'
                )
            if self._limits.verify_images:
                simplejpeg.decode_jpeg(jpeg, 'GRAY', min_height=1, min_width=1, min_factor=8)
        except ValueError as error:
            raise DamagedEpisodeError(
                f'{camera.name}: an image is no valid JPEG: {error}'
            ) from error
        return jpeg


class _NameOrder:
    """Puts a message's columns into the profile's order; names are parsed only when their bytes change."""

    def __init__(self, topic: str, wanted: Sequence[str]) -> None:
        self._topic = topic
        self._wanted = tuple(wanted)
        self._raw = b''
        self._count = 0
        self._order: npt.NDArray[np.intp] = np.empty(0, np.intp)

    def read(
        self, cdr: CdrReader, values: Callable[[], npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """Read a list of names and the list of values behind it; answers the values in the wanted order."""
        if self._raw and cdr.block(len(self._raw)) == self._raw:
            cdr.skip(len(self._raw))
        else:
            start = cdr.position()
            names = cdr.strings()
            missing = [name for name in self._wanted if name not in names]
            if missing:
                raise DamagedEpisodeError(f'{self._topic} lacks the joints {", ".join(missing)}')
            self._raw, self._count = cdr.bytes_from(start), len(names)
            self._order = np.array([names.index(name) for name in self._wanted])
        return self._ordered('position', values())

    def more(self, what: str, read: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Put another list of the same message into the wanted order; zeros when the robot sends none."""
        if len(read) == 0:
            return np.zeros(len(self._wanted))
        return self._ordered(what, read)

    def _ordered(self, what: str, read: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if len(read) != self._count:
            raise DamagedEpisodeError(
                f'{self._topic} has {self._count} names and {len(read)} values of {what}'
            )
        ordered: npt.NDArray[np.float64] = read[self._order]
        if not np.isfinite(ordered).all():
            raise DamagedEpisodeError(f'{self._topic} has a {what} that is not finite')
        return ordered
