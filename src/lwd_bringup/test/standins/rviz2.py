"""In rviz2's place: subscribes to the topics of the displays with the displays' QoS, as RViz does.

Writes what arrives to $STANDIN_REPORT/rviz2.json: topic -> number of messages, and what its names became.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from displays import shown_topics
from lwd_policy_node.nodes.process import run_node
from rclpy.node import Node


class StandinRviz(Node):
    def __init__(self, config: Path) -> None:
        super().__init__('rviz2')
        self.counts: dict[str, int] = {}
        for shown in shown_topics(yaml.safe_load(config.read_text())):
            name = self.resolve_topic_name(shown.topic)
            self.counts[name] = 0
            self.create_subscription(
                shown.type,
                shown.topic,
                lambda message, name=name: self.on(name, message),
                shown.qos,
            )
        self.create_timer(0.5, self.report)

    def on(self, name: str, message: Any) -> None:
        self.counts[name] += 1

    def report(self) -> None:
        whole = {
            'messages': self.counts,
            'tf': self.resolve_topic_name('/tf'),
            'use_sim_time': self.get_parameter('use_sim_time').value,
            'now_s': self.get_clock().now().nanoseconds * 1e-9,
        }
        path = Path(os.environ['STANDIN_REPORT'], 'rviz2.json')
        path.with_suffix('.part').write_text(json.dumps(whole))
        path.with_suffix('.part').replace(path)


if __name__ == '__main__':
    config = Path(sys.argv[sys.argv.index('-d') + 1])
    sys.exit(run_node(lambda: StandinRviz(config)))
