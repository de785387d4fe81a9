"""What the robots report: the last status of each, and one line per weights event. No rclpy."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lwd_learner.publish.canary import Tally

_log = logging.getLogger(__name__)

PRESENT_S = 60.0  # a robot that was not heard for longer is away

EVENTS = {1: 'loaded', 2: 'active', 3: 'refused', 4: 'rolled_back'}


@dataclass(frozen=True, slots=True)
class WeightsEvent:
    """What became of one version on one robot: a line of weights.jsonl."""

    version: int
    robot_id: str
    event: str  # loaded, active, refused, rolled_back
    published_wall_s: float  # learner's wall clock at publication; 0 when it was never announced
    loaded_wall_s: float  # robot's wall clock at the event
    transport: str  # service, uri, either with ' delta', or kept
    transfer_s: float  # s spent pulling bytes
    reason: str
    present: bool = True  # the robot was heard from before the publication: the delay counts

    @property
    def delay_s(self) -> float:
        """Seconds from publication to the event."""
        return self.loaded_wall_s - self.published_wall_s


@dataclass(frozen=True, slots=True)
class RobotReport:
    """The last /lwd/robot_status of one robot."""

    robot_id: str
    wall_s: float
    mode: int  # ControlMode.mode
    episode_state: int  # Episode.state
    episode_id: str
    task: str
    instruction: str
    policy_version: int
    standby_version: int
    episodes: int
    successes: int
    rollouts: int
    unaided: int  # successful roll-outs in which no human drove
    takeovers: int
    backlog: int
    unrecorded: bool  # an episode runs that its recorder does not record
    disk_free_bytes: float
    last_episode_s: float


class FleetLog:
    """Gathers events and reports; safe to read from another thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._events: list[WeightsEvent] = []
        self._robots: dict[str, RobotReport] = {}
        self._first_heard_s: dict[str, float] = {}
        self._heard_s: dict[str, float] = {}  # of this machine's steady clock
        self._came_s: dict[str, float] = {}  # likewise: since when it has not been away
        self._tally: dict[int, Tally] = {}
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Return the folder of the log."""
        return self._path.parent

    def add_event(self, event: WeightsEvent) -> None:
        """Remember an event and append its line."""
        with self._changed:
            heard_s = self._first_heard_s.setdefault(event.robot_id, event.loaded_wall_s)
            event = replace(event, present=heard_s <= event.published_wall_s)
            self._events.append(event)
            try:
                _append_line(self._path, json.dumps(asdict(event)))
            except OSError as error:  # robots must be served all the same
                _log.error('%s: %s; the event stays in memory: %s', self._path, error, event)
            self._changed.notify_all()

    def add_report(self, report: RobotReport) -> None:
        """Remember a robot's newest status."""
        with self._changed:
            self._count(self._robots.get(report.robot_id), report)
            self._robots[report.robot_id] = report
            now_s = time.monotonic()
            if report.robot_id not in self.present():
                self._came_s[report.robot_id] = now_s
            self._heard_s[report.robot_id] = now_s
            self._first_heard_s.setdefault(report.robot_id, report.wall_s)
            self._changed.notify_all()

    def _count(self, before: RobotReport | None, now: RobotReport) -> None:
        """Credit the roll-outs that ended between two reports to the version before the swap."""
        if before is None or now.rollouts < before.rollouts:  # the robot began to count anew
            return
        ended = now.rollouts - before.rollouts
        if ended and before.policy_version:
            tally = self._tally.setdefault(before.policy_version, Tally())
            tally.episodes += ended
            tally.successes += max(now.unaided - before.unaided, 0)

    def tally(self, version: int) -> Tally:
        """Return the roll-outs heard of since start that a version ran."""
        with self._changed:
            found = self._tally.get(version, Tally())
            return Tally(found.episodes, found.successes)

    def events(self) -> list[WeightsEvent]:
        """Return the events heard since start, in order of arrival."""
        with self._changed:
            return list(self._events)

    def present(self, within_s: float = PRESENT_S) -> list[str]:
        """Return the robots that were heard in the last seconds."""
        with self._changed:
            since_s = time.monotonic() - within_s
            return sorted(robot for robot, heard_s in self._heard_s.items() if heard_s >= since_s)

    def there_for_s(self) -> float:
        """Return for how long the first of the robots that are present has been; 0.0 = none is."""
        with self._changed:
            came_s = [self._came_s[robot] for robot in self.present()]
            return time.monotonic() - min(came_s) if came_s else 0.0

    def robots(self) -> dict[str, RobotReport]:
        """Return the last report of each robot."""
        with self._changed:
            return dict(self._robots)

    def wait_for(self, version: int, event: str, robots: int, timeout_s: float) -> bool:
        """Wait until `robots` robots reported `event` for `version`; False on time-out."""

        def reached() -> bool:
            who = {e.robot_id for e in self._events if (e.version, e.event) == (version, event)}
            return len(who) >= robots

        with self._changed:
            return self._changed.wait_for(reached, timeout_s)


def _append_line(path: Path, line: str) -> None:
    """A last line that a kill or a full disk cut short stays by itself."""
    with path.open('a+b') as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b'\n':
                line = f'\n{line}'
        file.write(f'{line}\n'.encode())
