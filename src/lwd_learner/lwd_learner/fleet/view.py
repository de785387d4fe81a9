"""What is known of each robot, as rows for a table, JSON and metrics. No rclpy."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lwd_learner.publish.fleet_log import RobotReport, WeightsEvent
from lwd_msgs.msg import ControlMode, RobotStatus

MODES = {
    ControlMode.HOLD: 'hold',
    ControlMode.POLICY: 'policy',
    ControlMode.HUMAN: 'human',
    ControlMode.ESTOP: 'e-stop',
    RobotStatus.MODE_SILENT: 'no arbiter',
}
SILENT_AFTER_S = 5.0  # reports come once a second
LATENCIES_KEPT = 50  # of each robot


@dataclass(frozen=True, slots=True)
class RobotRow:
    """One robot, as shown."""

    robot: str
    alive: bool  # heard from within the last seconds
    mode: str
    task: str
    version: int  # of the weights in use
    standby: int  # loaded, waits for the episode's end; 0 = none
    episodes: int
    successes: int
    interventions: int
    backlog: int  # episodes not uploaded yet
    unrecorded: bool  # its recorder does not record the episode under way
    disk_free_gb: float
    loaded_s: float | None  # median, published to loaded
    sampleable_s: float | None  # median, episode end to sampleable
    refused: str  # reason of the last refusal since the last version taken

    @property
    def success_rate(self) -> float | None:
        """Successes over episodes; None before the first."""
        return self.successes / self.episodes if self.episodes else None


class FleetView:
    """Takes what is heard; gives rows."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        """`now_s` is the wall clock, s since the epoch."""
        self._now_s = now_s
        self._reports: dict[str, tuple[RobotReport, float]] = {}
        self._loaded: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LATENCIES_KEPT))
        self._sampleable: dict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=LATENCIES_KEPT)
        )
        self._refused: dict[str, str] = {}
        self.refusals: dict[str, int] = defaultdict(int)
        """Number of refusals heard, by robot."""

    def add_report(self, report: RobotReport) -> None:
        """Take a robot's status."""
        self._reports[report.robot_id] = report, self._now_s()

    def add_event(self, event: WeightsEvent) -> None:
        """Take what became of a version on a robot."""
        if event.event == 'loaded':
            self._loaded[event.robot_id].append(event.delay_s)
            self._refused.pop(event.robot_id, None)
        elif event.event in ('refused', 'rolled_back'):
            self._refused[event.robot_id] = f'version {event.version}: {event.reason}'
            self.refusals[event.robot_id] += 1

    def add_ingest_line(self, line: str) -> None:
        """Take a line of ingest.jsonl; one that cannot be read is left out."""
        try:
            entry = json.loads(line)
            delay_s = float(entry['sampleable_wall_s']) - float(entry['ended_wall_s'])
            robot, counts = str(entry['robot_id']), not entry['duplicate']
        except (KeyError, TypeError, ValueError):
            return
        if counts and entry.get('quarantined') is None:
            self._sampleable[robot].append(delay_s)

    def rows(self) -> list[RobotRow]:
        """Return one row for each robot heard of, by name."""
        return [self._row(*entry) for _, entry in sorted(self._reports.items())]

    def _row(self, report: RobotReport, heard_s: float) -> RobotRow:
        robot = report.robot_id
        return RobotRow(
            robot=robot,
            alive=self._now_s() - heard_s <= SILENT_AFTER_S,
            mode=MODES.get(report.mode, f'mode {report.mode}'),
            task=report.task,
            version=report.policy_version,
            standby=report.standby_version,
            episodes=report.episodes,
            successes=report.successes,
            interventions=report.takeovers,
            backlog=report.backlog,
            unrecorded=report.unrecorded,
            disk_free_gb=round(report.disk_free_bytes / 1e9, 1),
            loaded_s=_median(self._loaded[robot]),
            sampleable_s=_median(self._sampleable[robot]),
            refused=self._refused.get(robot, ''),
        )


def as_json(rows: list[RobotRow]) -> str:
    """Return one JSON object with a list of robots."""
    robots = [asdict(row) | {'success_rate': row.success_rate} for row in rows]
    return json.dumps({'robots': robots})


class IngestTail:
    """New whole lines of ingest.jsonl at each look; a file that is not there yet has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[str]:
        """Return the lines since the last look."""
        try:
            with self._path.open('rb') as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b'\n') + 1]
        self._offset += len(whole)
        return whole.decode('utf-8', 'replace').splitlines()


def _median(values: deque[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None
