"""What a bag's own messages say of its episode: who it was, how it ended, who moved the robot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mcap.records import Message

from lwd_recorder.manifest import OUTCOMES
from lwd_recorder.recording.cdr import CdrCursor, CdrError
from lwd_recorder.recording.facts import ControlFacts
from lwd_recorder.recording.topics import EXECUTED_ACTION_TOPIC
from lwd_recorder.spool import UnrecoverableError

EPISODE_TYPE = 'lwd_msgs/msg/Episode'
ENDED_BY = 'recovery'
"""`ended_by` of an episode whose end was never recorded."""
LABEL_FIELDS = (
    'episode_id',
    'robot_id',
    'profile',
    'task',
    'instruction',
    'kind',
    'seed',
    'outcome',
    'ended_by',
    'started_s',
    'ended_s',
    'ended_wall_s',
)
"""Fields of a manifest that say which episode it is and how it ended."""
_RUNNING, _ENDED = 1, 2
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class EpisodeSaid:
    """One lwd_msgs/Episode."""

    state: int
    episode_id: str
    robot_id: str
    task: str
    instruction: str
    kind: str
    seed: int
    started_ns: int
    ended_ns: int
    outcome: int
    ended_by: str

    @classmethod
    def read(cls, data: bytes) -> EpisodeSaid:
        """Read a serialized message.

        Raises:
            CdrError: it is something else.
        """
        cursor = CdrCursor(data)
        cursor.skip_header()
        return cls(  # in the order of the message's fields
            state=cursor.u8(),
            episode_id=cursor.text(),
            robot_id=cursor.text(),
            task=cursor.text(),
            instruction=cursor.text(),
            kind=cursor.text(),
            seed=cursor.u64(),
            started_ns=cursor.u32() * _NS + cursor.u32(),
            ended_ns=cursor.u32() * _NS + cursor.u32(),
            outcome=cursor.u8(),
            ended_by=cursor.text(),
        )

    @property
    def outcome_name(self) -> str:
        """success, failure, aborted or unknown."""
        return OUTCOMES[self.outcome] if self.outcome < len(OUTCOMES) else 'unknown'


@dataclass(slots=True)
class Told:
    """What the Episode messages of one bag say."""

    episode_id: str
    """The bag's episode; messages of others are passed by."""
    running: EpisodeSaid | None = None
    """The first message that says RUNNING."""
    ended: EpisodeSaid | None = None
    """The last message that says ENDED."""
    facts: ControlFacts = field(default_factory=ControlFacts)
    """Who moved the robot."""

    def take(self, topic: str, type_name: str, message: Message) -> None:
        """Look at one kept message."""
        if topic.endswith(f'/{EXECUTED_ACTION_TOPIC}'):
            self.facts.add(message.data, self.episode_id)
        if type_name != EPISODE_TYPE:
            return
        try:
            said = EpisodeSaid.read(message.data)
        except CdrError:
            return
        if said.episode_id == self.episode_id:
            if said.state == _RUNNING:
                self.running = self.running or said
            elif said.state == _ENDED:
                self.ended = said

    def label(self, profile: str, end_ns: int, ended_wall_s: float) -> dict[str, Any]:
        """Return LABEL_FIELDS; an episode without a recorded end is aborted at its last message.

        Args:
            profile: robot profile's name.
            end_ns: log time of the last message, ns.
            ended_wall_s: wall clock of the last write, s since the epoch.

        Raises:
            UnrecoverableError: no message says which episode it is.
        """
        started, ended = self.running or self.ended, self.ended
        if started is None:
            raise UnrecoverableError('no Episode message in it says which episode this is')
        ended_ns = end_ns if ended is None else ended.ended_ns
        if ended_ns <= started.started_ns:  # a restarted episode node knew no better
            ended_ns = max(started.started_ns, end_ns)
        return {
            'episode_id': self.episode_id,
            'robot_id': started.robot_id,
            'profile': profile,
            'task': started.task,
            'instruction': started.instruction,
            'kind': started.kind,
            'seed': started.seed,
            'outcome': 'aborted' if ended is None else ended.outcome_name,
            'ended_by': ENDED_BY if ended is None else ended.ended_by,
            'started_s': started.started_ns / _NS,
            'ended_s': ended_ns / _NS,
            'ended_wall_s': ended_wall_s,
        }
