"""What RViz subscribes to for the displays of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

RELIABILITY = {
    'Reliable': ReliabilityPolicy.RELIABLE,
    'Best Effort': ReliabilityPolicy.BEST_EFFORT,
}
DURABILITY = {
    'Volatile': DurabilityPolicy.VOLATILE,
    'Transient Local': DurabilityPolicy.TRANSIENT_LOCAL,
}
# An Image display takes what stands behind the last slash for the transport: of `compressed` that is this type.
TYPES = {
    ('Image', 'compressed'): CompressedImage,
    ('MarkerArray', ''): MarkerArray,
    ('RobotModel', ''): String,
}
WITHOUT_TOPIC = ('Grid', 'TF')


@dataclass(frozen=True)
class Shown:
    """One topic of one display."""

    display: str
    topic: str
    type: Any
    qos: QoSProfile


def shown_topics(config: dict[str, Any]) -> Iterator[Shown]:
    for display in config['Visualization Manager']['Displays']:
        kind = display['Class'].removeprefix('rviz_default_plugins/')
        if kind in WITHOUT_TOPIC:
            continue
        topic = display['Description Topic' if kind == 'RobotModel' else 'Topic']
        transport = topic['Value'].rpartition('/')[2] if kind == 'Image' else ''
        qos = QoSProfile(
            depth=topic['Depth'],
            reliability=RELIABILITY[topic['Reliability Policy']],
            durability=DURABILITY[topic['Durability Policy']],
        )
        yield Shown(display['Name'], topic['Value'], TYPES[kind, transport], qos)
