"""The fleet's table, JSON and metrics, from what robots say over DDS."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import rclpy
from lwd_learner.fleet.metrics import serve
from lwd_learner.fleet.table import table_of
from lwd_learner.fleet.view import FleetView, IngestTail, as_json
from lwd_learner.publish.fleet_log import RobotReport, WeightsEvent
from lwd_policy_node.nodes import qos
from rclpy.context import Context
from rich.console import Console

from lwd_msgs.msg import RobotStatus


def _view() -> tuple[FleetView, list[float]]:
    clock = [100.0]
    view = FleetView(lambda: clock[0])
    fields: dict[str, object] = dict.fromkeys(RobotReport.__slots__, 0)
    fields |= {'mode': 1, 'task': 'restock', 'policy_version': 4, 'standby_version': 5}
    fields |= {'episodes': 8, 'successes': 6, 'takeovers': 3, 'disk_free_bytes': 5e9}
    view.add_report(RobotReport(**fields | {'robot_id': 'g1_02'}))  # type: ignore[arg-type]
    for delay_s in (1.0, 2.0, 9.0):
        view.add_event(
            WeightsEvent(4, 'g1_02', 'loaded', 10.0, 10.0 + delay_s, 'service', 0.1, '')
        )
    line = {'robot_id': 'g1_02', 'ended_wall_s': 1.0, 'sampleable_wall_s': 2.5, 'duplicate': False}
    view.add_ingest_line(json.dumps(line))
    view.add_ingest_line('{"robot_id": "g1_02"')
    return view, clock


def test_rows_say_what_was_heard_and_when_a_robot_is_silent() -> None:
    """Medians of latencies; a robot that has fallen silent stays in the table, marked."""
    view, clock = _view()
    (row,) = view.rows()
    assert (row.mode, row.version, row.standby, row.success_rate) == ('policy', 4, 5, 0.75)
    assert (row.loaded_s, row.sampleable_s, row.alive) == (2.0, 1.5, True)
    clock[0] += 60.0
    view.add_event(WeightsEvent(6, 'g1_02', 'refused', 0.0, 0.0, '', 0.0, 'no file [/w/6]'))
    assert not view.rows()[0].alive
    console = Console(width=200, record=True)
    console.print(table_of(view.rows()))
    text = console.export_text()
    assert 'silent' in text and '4>5' in text and 'version 6: no file [/w/6]' in text
    assert json.loads(as_json(view.rows()))['robots'][0]['success_rate'] == 0.75


def test_metrics_are_served_on_loopback() -> None:
    """What Prometheus scrapes has the robots as labels."""
    view, _ = _view()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    server = serve(view, '127.0.0.1', port)
    try:
        text = urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics').read().decode()
    finally:
        server.shutdown()
        server.server_close()
    for line in (
        'lwd_robot_up{robot="g1_02"} 1.0',
        'lwd_robot_weights_version{robot="g1_02"} 4.0',
        'lwd_robot_published_to_loaded_seconds{robot="g1_02"} 2.0',
        'lwd_robot_episodes_total{robot="g1_02"} 8.0',
        'lwd_robot_mode{mode="policy",robot="g1_02"} 1.0',
    ):
        assert line in text


def test_the_journal_is_read_by_whole_lines(tmp_path: Path) -> None:
    """A line under way is read when it is whole."""
    path = tmp_path / 'ingest.jsonl'
    tail = IngestTail(path)
    assert tail.lines() == []
    path.write_text('a\nb')
    assert tail.lines() == ['a']
    path.write_text('a\nbc\n')
    assert tail.lines() == ['bc']


@pytest.mark.launch
def test_the_command_shows_a_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fleet --once --json` hears a robot over DDS; without robots it says so and fails."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '181')
    command = [sys.executable, '-m', 'lwd_learner.fleet.command', '--once', '--json']
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('robot', context=context)
    out = node.create_publisher(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    try:
        running = subprocess.Popen(command, stdout=subprocess.PIPE)
        while running.poll() is None:
            out.publish(RobotStatus(robot_id='g1_07', policy_version=3))
            time.sleep(0.05)
        assert running.stdout is not None
        (row,) = json.loads(running.stdout.read())['robots']
        assert (row['robot'], row['version'], running.returncode) == ('g1_07', 3, 0)
    finally:
        node.destroy_node()
        context.try_shutdown()
    assert subprocess.run([*command, '--listen-s', '0.1'], check=False).returncode == 1
