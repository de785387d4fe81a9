"""What is recorded: topics relative to the robot's namespace, their types and the QoS that their writers offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwd_recorder.bag import Compression, OfferedQos, TopicOptions

EPISODE_TOPIC = 'episode'
EXECUTED_ACTION_TOPIC = 'executed_action'
_COMPRESSED = '/compressed'


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One recorded topic."""

    name: str
    """Relative to the robot's namespace, or absolute."""
    type_name: str
    """e.g. sensor_msgs/msg/JointState. The type begins with a std_msgs/Header or a Time."""
    qos: OfferedQos
    """What its writer offers (docs/architecture.md)."""
    depth: int
    """Length of the recorder's own queue, messages: what may arrive while it waits for a core."""
    required: bool = False
    """An episode without it is of no use: its absence goes into the manifest's notes."""
    periodic: bool = False
    """It comes at a steady rate while an episode runs: silence is a fault."""
    shared: bool = False
    """Several nodes write it: no sequence numbers to count by, and stamps are of their clocks, not ours."""
    compression: Compression = 'lz4'
    """Of its chunks in the bag."""

    @property
    def latched(self) -> bool:
        """Whether the last message counts for late readers."""
        return self.qos.durability == 'transient_local'

    @property
    def options(self) -> TopicOptions:
        """How a bag writes and measures it."""
        return TopicOptions(self.qos, self.compression, self.periodic)


@dataclass(frozen=True, slots=True)
class RecordedTopic:
    """A topic as this robot has it."""

    name: str
    """Absolute name, e.g. /g1_01/joint_states."""
    spec: TopicSpec
    """Type, QoS and what is expected of it."""


def robot_topics(
    cameras: Sequence[str], camera_compression: Compression = 'none'
) -> tuple[TopicSpec, ...]:
    """Return the topics of one robot.

    Args:
        cameras: names (head: camera/head/image/compressed), or topics: JPEG if they end in /compressed, else raw
            images.
        camera_compression: of the chunks that images go into; JPEG does not shrink.
    """
    latched = OfferedQos(durability='transient_local', depth=1)
    latched_two = OfferedQos(durability='transient_local', depth=2)
    return (
        *(_camera(camera, camera_compression) for camera in cameras),
        TopicSpec(
            'joint_states', 'sensor_msgs/msg/JointState', OfferedQos(depth=10), 400,
            required=True, periodic=True,
        ),
        TopicSpec(
            EXECUTED_ACTION_TOPIC, 'lwd_msgs/msg/ExecutedAction', OfferedQos(depth=100), 200,
            required=True, periodic=True,
        ),
        TopicSpec('action_chunk', 'lwd_msgs/msg/ActionChunk', OfferedQos(depth=1), 50),
        TopicSpec('control_mode', 'lwd_msgs/msg/ControlMode', latched, 20),
        TopicSpec('teleop/command', 'lwd_msgs/msg/TeleopCommand', OfferedQos(depth=1), 100),
        TopicSpec('sim/state', 'lwd_msgs/msg/SimState', OfferedQos(depth=5), 200, periodic=True),
        TopicSpec(EPISODE_TOPIC, 'lwd_msgs/msg/Episode', latched_two, 20),
        TopicSpec(
            '/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', OfferedQos(), 100, shared=True
        ),
        TopicSpec(
            '/parameter_events', 'rcl_interfaces/msg/ParameterEvent', OfferedQos(depth=1000), 200,
            shared=True,
        ),
        TopicSpec('/rosout', 'rcl_interfaces/msg/Log', OfferedQos(depth=1000), 500, shared=True),
    )  # fmt: skip


def _camera(camera: str, compression: Compression) -> TopicSpec:
    topic = camera if '/' in camera else f'camera/{camera}/image{_COMPRESSED}'
    kind = 'CompressedImage' if topic.endswith(_COMPRESSED) else 'Image'
    return TopicSpec(
        topic, f'sensor_msgs/msg/{kind}', OfferedQos('best_effort', depth=5), 60,
        required=True, periodic=True, compression=compression,
    )  # fmt: skip
