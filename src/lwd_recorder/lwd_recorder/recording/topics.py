"""What is recorded: topics relative to the robot's namespace, their types and the QoS that their writers offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwd_recorder.bag import Compression, OfferedQos, TopicOptions

EPISODE_TOPIC = 'episode'
EXECUTED_ACTION_TOPIC = 'executed_action'


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One recorded topic."""

    name: str
    """Relative to the robot's namespace."""
    type_name: str
    """e.g. sensor_msgs/msg/JointState. The type begins with a std_msgs/Header."""
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


def robot_topics(cameras: Sequence[str]) -> tuple[TopicSpec, ...]:
    """Return the topics of one robot.

    Args:
        cameras: names, e.g. head, hand_left, hand_right.
    """
    image = OfferedQos('best_effort', depth=5)
    latched = OfferedQos(durability='transient_local', depth=1)
    return (
        *(
            TopicSpec(
                f'camera/{camera}/image/compressed',
                'sensor_msgs/msg/CompressedImage',
                image,
                60,
                True,
            )
            for camera in cameras
        ),
        TopicSpec('joint_states', 'sensor_msgs/msg/JointState', OfferedQos(depth=10), 200, True),
        TopicSpec(
            EXECUTED_ACTION_TOPIC, 'lwd_msgs/msg/ExecutedAction', OfferedQos(depth=100), 200, True
        ),
        TopicSpec('action_chunk', 'lwd_msgs/msg/ActionChunk', OfferedQos(depth=1), 50),
        TopicSpec('control_mode', 'lwd_msgs/msg/ControlMode', latched, 20),
        TopicSpec('teleop/command', 'lwd_msgs/msg/TeleopCommand', OfferedQos(depth=1), 100),
        TopicSpec('sim/state', 'lwd_msgs/msg/SimState', OfferedQos(depth=5), 200),
        TopicSpec(EPISODE_TOPIC, 'lwd_msgs/msg/Episode', latched, 20),
    )
