"""A bag's messages as time-stamped streams: the fields that become frames, nothing else.

The layouts read here are those of sensor_msgs/JointState and CompressedImage and of lwd_msgs/ExecutedAction
and SimState; a test serializes each with ROS's own code and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import Camera, RobotProfile

from lwd_learner.ingest.bag_messages import BagLimits, read_messages
from lwd_learner.ingest.cdr import CdrReader
from lwd_learner.ingest.errors import DamagedEpisodeError, DamagedMessageError
from lwd_learner.ingest.jpeg import check_jpeg, smaller
from lwd_learner.ingest.spool import JpegSpool

TYPES = {
    'joint_states': 'sensor_msgs/msg/JointState',
    'executed_action': 'lwd_msgs/msg/ExecutedAction',
    'sim/state': 'lwd_msgs/msg/SimState',
}
IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'
MAX_LABELS = 4096


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What is believed of a bag, and what its images become."""

    bag: BagLimits = field(default_factory=BagLimits)
    """Of the file itself."""
    max_image_bytes: int = 8 << 20
    """Bytes of one image."""
    verify_every: int = 30
    """Each image's markers, header and size are checked; one in so many of a camera is decoded too. 1 decodes all (14
    times real time at 640x480), 0 none."""
    training_size: tuple[int, int] | None = None
    """(width, height) to re-encode images to; None: what the profile says that a policy sees, and where it says
    nothing the robot's bytes as they are."""
    training_quality: int = 90
    """JPEG quality of re-encoded images."""


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

    def drop(self, first_ns: float, last_ns: float) -> None:
        """Forget what is stamped from `first_ns` to `last_ns`, both included."""
        kept = [i for i, ns in enumerate(self.stamps_ns) if not first_ns <= ns <= last_ns]
        if len(kept) < len(self):
            self.stamps_ns = [self.stamps_ns[i] for i in kept]
            self.values = [self.values[i] for i in kept]

    def __len__(self) -> int:
        return len(self.stamps_ns)


@dataclass(frozen=True, slots=True)
class Command:
    """What frames keep of one ExecutedAction."""

    action: npt.NDArray[np.float64]
    source: int
    policy_version: int


@dataclass(frozen=True, slots=True)
class SetBack:
    """The robot's clock was set back while commands were sent: two moments have each stamp in between."""

    last_ns: int
    """Stamp of the last command before it."""
    first_ns: int
    """Stamp of the first command after it, smaller."""
    ticks: int
    """Control ticks from the one to the other."""


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
    """Per camera, numbers in its spool."""
    spools: dict[str, JpegSpool] = field(default_factory=dict)
    """Per camera, the JPEGs."""
    label_names: tuple[str, ...] = ()
    set_back: list[SetBack] = field(default_factory=list)

    def close(self) -> None:
        """Let go of the images."""
        for spool in self.spools.values():
            spool.close()


def read_streams(
    bag: Path, robot_id: str, episode_id: str, profile: RobotProfile, limits: StreamLimits
) -> EpisodeStreams:
    """Read one episode's bag.

    Raises:
        DamagedEpisodeError: the bag is damaged, beyond the limits, of other message types, or does not fit the profile.
        OSError: the bag cannot be read now, or there is no room for its images.
    """
    decoder = Decoder(episode_id, profile, limits)
    handlers = decoder.handlers(f'/{robot_id}')
    topics = {topic: wanted for topic, (wanted, _) in handlers.items()}
    handle = {topic: handler for topic, (_, handler) in handlers.items()}
    try:
        for topic, data in read_messages(bag, topics, limits.bag):
            try:
                handle[topic](data)
            except DamagedMessageError as error:
                raise DamagedEpisodeError(f'{topic}: {error}') from error
        for spool in decoder.streams.spools.values():
            spool.flush()
        return decoder.finish()
    except BaseException:
        decoder.streams.close()
        raise


class Decoder:
    """Turns serialized messages into an episode's streams."""

    def __init__(self, episode_id: str, profile: RobotProfile, limits: StreamLimits) -> None:
        """Read messages of one robot; commands of other episodes are passed by."""
        self._episode_id = episode_id
        self._profile = profile
        self._limits = limits
        self._action_order = _NameOrder('executed_action', profile.joint_names)
        self._state_order = _NameOrder('joint_states', profile.state_names)
        self._last_command: tuple[int, int] | None = None
        self._label_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        cameras = [camera.name for camera in profile.cameras]
        self.streams = EpisodeStreams(
            images={name: Stream() for name in cameras},
            spools={name: JpegSpool() for name in cameras},
        )

    def handlers(
        self, namespace: str
    ) -> dict[str, tuple[str, Callable[[bytes | memoryview], None]]]:
        """Per absolute topic, the type it must have and what reads its messages."""
        of: dict[str, Callable[[bytes | memoryview], None]] = {
            'joint_states': self.joint_state,
            'executed_action': self.executed_action,
            'sim/state': self.sim_state,
        }
        handlers = {f'{namespace}/{topic}': (TYPES[topic], handle) for topic, handle in of.items()}
        for camera in self._profile.cameras:
            handlers[f'{namespace}/{camera.topic}'] = (IMAGE_TYPE, self._image_handler(camera))
        return handlers

    def finish(self) -> EpisodeStreams:
        """The streams, values in the profile's order; where a simulator was reset, of the episode's scene alone.

        Raises:
            DamagedEpisodeError: a value is not finite.
        """
        states, commands = self.streams.states, self.streams.commands
        if states.values:
            positions = self._state_order.ordered('position', [v[0] for v in states.values])
            velocities = self._state_order.ordered('velocity', [v[1] for v in states.values])
            states.values = list(np.concatenate([positions, velocities], axis=1))
        if commands.values:
            actions = self._action_order.ordered('position', [v[0] for v in commands.values])
            commands.values = [
                Command(action, source, version)
                for action, (_, source, version) in zip(actions, commands.values, strict=True)
            ]
        self._keep_scene()
        return self.streams

    def _keep_scene(self) -> None:
        """Forget what was seen before the reset, and the labels of other tasks.

        The ticks of `sim/state` tell when that was: an episode begins some ticks later, and images since are its own.
        """
        streams = self.streams
        if not streams.labels or not streams.commands:
            return
        stamps = streams.labels.sort()
        at = int(np.searchsorted(stamps, min(streams.commands.stamps_ns)))
        at = min(at, len(stamps) - 1)
        streams.label_names, tick, _ = streams.labels.values[at]
        period_s = self._profile.control_period_s
        before_ns = int(stamps[at]) - 1e9 * period_s * (tick + 0.5)
        for stream in (streams.states, streams.labels, *streams.images.values()):
            stream.drop(-math.inf, before_ns)
        kept = [
            (ns, label)
            for ns, (names, _, label) in zip(
                streams.labels.stamps_ns, streams.labels.values, strict=True
            )
            if names == streams.label_names
        ]
        streams.labels = Stream([ns for ns, _ in kept], [label for _, label in kept])

    def joint_state(self, data: bytes | memoryview) -> None:
        """Take a sensor_msgs/JointState."""
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        order = self._state_order.read(cdr)
        self.streams.states.add(stamp, ((order, cdr.doubles()), (order, cdr.doubles())))

    def executed_action(self, data: bytes | memoryview) -> None:
        """Take a lwd_msgs/ExecutedAction if it belongs to the episode."""
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        episode_id = cdr.string()
        self._watch_clock(stamp, cdr.number('Q', 8))
        if episode_id != self._episode_id:
            return  # pre-roll, or the moments after the end
        source = cdr.number('B', 1)
        order = self._action_order.read(cdr)
        action = cdr.doubles()
        cdr.skip_doubles()  # wish
        cdr.octets()  # clamps
        self.streams.commands.add(stamp, ((order, action), source, cdr.number('Q', 8)))

    def _watch_clock(self, stamp_ns: int, tick: int) -> None:
        """Note a later tick with an earlier stamp. A message that was overtaken is earlier by both."""
        if self._last_command is not None:
            last_ns, last_tick = self._last_command
            if tick > last_tick and stamp_ns < last_ns:
                self.streams.set_back.append(SetBack(last_ns, stamp_ns, tick - last_tick))
        self._last_command = stamp_ns, tick

    def sim_state(self, data: bytes | memoryview) -> None:
        """Take the labels of a lwd_msgs/SimState."""
        cdr = CdrReader(data)
        stamp = cdr.stamp_ns()
        cdr.skip_string()
        cdr.skip_string()  # task
        cdr.number('Q', 8)  # seed
        tick = cdr.number('Q', 8)
        for _ in range(3):
            cdr.skip_doubles()  # qpos, qvel, ctrl
        label = cdr.floats()
        names = cdr.strings()
        if len(names) != len(label) or len(label) > MAX_LABELS:
            raise DamagedEpisodeError(
                f'sim/state has {len(label)} labels and {len(names)} names; as many, and {MAX_LABELS} at most'
            )
        names = self._label_names.setdefault(names, names)  # kept once, not for every message
        self.streams.labels.add(stamp, (names, tick, label))

    def _image_handler(self, camera: Camera) -> Callable[[bytes | memoryview], None]:
        stream, spool = self.streams.images[camera.name], self.streams.spools[camera.name]
        limits, size = self._limits, (camera.width, camera.height)
        stored = limits.training_size or self._profile.policy_image or size

        def handle(data: bytes | memoryview) -> None:
            cdr = CdrReader(data)
            stamp = cdr.stamp_ns()
            cdr.skip_string()
            cdr.skip_string()  # format
            jpeg = cdr.octets()
            if len(jpeg) > limits.max_image_bytes:
                raise DamagedEpisodeError(f'{camera.name}: an image of {len(jpeg)} bytes')
            whole = limits.verify_every > 0 and len(stream) % limits.verify_every == 0
            check_jpeg(camera.name, jpeg, size, whole)
            if stored != size:
                jpeg = smaller(camera, jpeg, *stored, limits.training_quality)
            stream.add(stamp, spool.append(memoryview(jpeg)))

        return handle


Order = npt.NDArray[np.intp]
"""Where each wanted column stands in a message."""


class _NameOrder:
    """Puts a message's columns into the profile's order; names are parsed only when their bytes change."""

    def __init__(self, topic: str, wanted: Sequence[str]) -> None:
        self._topic = topic
        self._wanted = tuple(wanted)
        self._raw = b''
        self._order: tuple[int, Order] = (0, np.empty(0, np.intp))

    def read(self, cdr: CdrReader) -> tuple[int, Order]:
        """Read a list of names; answers how many there are, and the order."""
        if self._raw and cdr.block(len(self._raw)) == self._raw:
            cdr.skip(len(self._raw))
        else:
            start = cdr.position()
            names = cdr.strings()
            missing = [name for name in self._wanted if name not in names]
            if missing:
                raise DamagedEpisodeError(f'{self._topic} lacks the joints {", ".join(missing)}')
            self._raw = cdr.bytes_from(start)
            self._order = len(names), np.array([names.index(name) for name in self._wanted])
        return self._order

    def ordered(
        self, what: str, read: list[tuple[tuple[int, Order], npt.NDArray[np.float64]]]
    ) -> npt.NDArray[np.float64]:
        """All samples of a list of a message, (N, columns wanted); zeros where a robot sends none of velocity."""
        out = np.zeros((len(read), len(self._wanted)))
        (count, order), _ = read[0]
        if all(of[1] is order and len(values) == count for of, values in read):
            np.stack([values for _, values in read]).take(order, axis=1, out=out)
        else:
            for row, ((count, order), values) in zip(out, read, strict=True):
                if len(values) == count:
                    row[:] = values[order]
                elif len(values) or what != 'velocity':
                    raise DamagedEpisodeError(
                        f'{self._topic} has {count} names and {len(values)} values of {what}'
                    )
        if not np.isfinite(out).all():
            raise DamagedEpisodeError(f'{self._topic} has a {what} that is not finite')
        return out
