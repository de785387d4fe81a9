"""What the manifest says of an episode besides its files: who it was, how it ended, who moved the robot."""

from __future__ import annotations

from dataclasses import dataclass, field

from lwd_recorder.recording.cdr import CdrCursor, CdrError, stamp_ns

SOURCE_POLICY = 1
SOURCE_HUMAN = 2
_MAX_TICK_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """The Episode message that says RUNNING."""

    episode_id: str
    """Unique for ever."""
    robot_id: str
    """Robot's name."""
    task: str
    """e.g. restock."""
    instruction: str
    """The sentence given to the policy."""
    kind: str
    """demonstration, rollout or play."""
    seed: int
    """Simulator's seed; 0 on a real robot."""
    started_ns: int
    """Robot clock, ns."""
    data: bytes
    """The serialized message, recorded with the rest."""


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """How an episode ended."""

    ended_ns: int
    """Robot clock, ns."""
    outcome: str
    """success, failure, aborted or unknown."""
    ended_by: str
    """operator, gamepad, service, simulator, timeout, shutdown, recorder."""
    note: str = ''
    """Why, if the recorder ended it by itself."""


@dataclass(slots=True)
class ControlFacts:
    """Who moved the robot, gathered from executed_action messages of one episode."""

    policy_versions: set[int] = field(default_factory=set)
    """Versions of the weights that acted."""
    takeovers: int = 0
    """Spells in which a human had control."""
    human_ns: int = 0
    """Time under human control, ns."""
    unreadable: int = 0
    """Messages that could not be read."""
    _source: int = -1
    _last_ns: int = 0

    def add(self, data: bytes, episode_id: str) -> None:
        """Take one serialized ExecutedAction into account if it belongs to the episode."""
        try:
            now_ns = stamp_ns(data)
            cursor = CdrCursor(data)
            cursor.skip_header()
            if cursor.text() != episode_id:
                return
            cursor.u64()  # tick
            source = cursor.u8()
            if source == SOURCE_POLICY:
                cursor.skip_texts()  # joint_names
                cursor.skip_numbers(8)  # position
                cursor.skip_numbers(8)  # wish
                cursor.skip_numbers(1)  # clamps
                self.policy_versions.add(cursor.u64())
        except CdrError:
            self.unreadable += 1
            return
        if source == SOURCE_HUMAN:
            if self._source != SOURCE_HUMAN:
                self.takeovers += 1
            else:  # a pause of the arbiter is nobody's time
                self.human_ns += max(0, min(now_ns - self._last_ns, _MAX_TICK_NS))
        self._source, self._last_ns = source, now_ns
