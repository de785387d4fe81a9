"""Decides which message belongs to which episode. No ROS in here: a node feeds it, and so does a test.

One thread calls everything; the EpisodeWriter's thread writes. An ended episode stays open for a short post-roll while
the next one may already be running, so nothing is lost between back-to-back episodes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lwd_recorder.bag import message_definition
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording.admission import Admission
from lwd_recorder.recording.attachment import Attachment
from lwd_recorder.recording.audit import LiveAudit
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.facts import EpisodeEnd, EpisodeStart
from lwd_recorder.recording.postroll import PostRoll
from lwd_recorder.recording.preroll import PreRoll, Sample
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.recording.robot_clock import RobotClock, Tick
from lwd_recorder.recording.session import Session
from lwd_recorder.recording.topics import EPISODE_TOPIC, RecordedTopic
from lwd_recorder.recording.watch import Watch
from lwd_recorder.recording.writer import LEFT_OPEN, REPAIR_S, EpisodeWriter, Notice
from lwd_recorder.spool import RecorderLock, Spool, SpoolError, State

_NS = 1_000_000_000
_WHOLE = f'{LEFT_OPEN}, and is whole again'


class Recorder:
    """Messages in, closed episodes in the spool out."""

    def __init__(
        self,
        spool_root: Path | str,
        topics: Sequence[RecordedTopic],
        config: RecorderConfig | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is touched before `start`.

        Args:
            spool_root: the spool's folder.
            topics: what is recorded; messages are fed by their index in it.
            config: see RecorderConfig.
            monotonic_s: wall time for time-outs, s.
            wall_s: wall clock for the manifest, s since the epoch.
        """
        self._config = config or RecorderConfig()
        self._topics = tuple(topics)
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._spool_root = spool_root
        self.spool: Spool
        """The spool, of the thread that called `start`."""
        self._notices: deque[Notice] = deque()
        self._writer = EpisodeWriter(spool_root, self._config, self._notices.append, self._salvage)
        self.audit = LiveAudit(self._topics, self._config.stall_s)
        """What is measured of every topic."""
        self._attachments: dict[str, Attachment] = {}
        self._preroll = PreRoll(
            round(self._config.preroll_s * _NS), self._config.preroll_limit_bytes
        )
        self._episode_index = next(
            index for index, topic in enumerate(topics) if topic.spec.name == EPISODE_TOPIC
        )
        self._session: Session | None = None
        self._postroll = PostRoll(self._config)
        self._refused = ''
        self._recorded = ('', 0)  # id and start of the last one: its RUNNING may come again
        self._early_start: EpisodeStart | None = None
        self._clock = RobotClock()
        self.dropped = 0
        """Messages that found the queue full; read-only for others."""
        self.trouble = ''
        """Why the last episode was refused; empty when all is well; read-only for others."""
        self.missed = ''
        """The episode under way, if it began before the recorder did; else empty; read-only for others."""

    def start(self) -> list[Notice]:
        """Recover the spool and start the writer.

        Returns:
            What was found, for the log.

        Raises:
            SchemaError: the definition of a recorded type is missing.
            SpoolError: the spool cannot be opened, or another recorder works on it.
            OSError: the spool's folders cannot be made.
        """
        for topic in self._topics:
            message_definition(topic.spec.type_name)
        self.spool = Spool(self._spool_root)
        self._lock = RecorderLock(self.spool.root)
        self._admission = Admission(self.spool, self._config)
        self._watch = Watch(self.audit, self._admission)
        notices = self._recover()
        self._writer.start()
        return notices

    @property
    def episode_id(self) -> str:
        """The episode under way; empty between episodes."""
        return self._session.episode_id if self._session is not None else ''

    @property
    def held_bytes(self) -> tuple[int, int]:
        """Memory of the pre-roll, and between subscriptions and disk, bytes."""
        return self._preroll.size_bytes, self._writer.pending_bytes

    @property
    def warning(self) -> str:
        """What may soon be in the way of recording; empty when nothing."""
        return self._admission.warning

    def stopped(self) -> list[tuple[str, float]]:
        """Return the steady topics that are silent in the episode under way, and for how long, s."""
        return self.audit.stopped() if self._session is not None else []

    def attach(self, attachment: Attachment) -> None:
        """Put a file into this and all later bags; one of the same name is replaced."""
        self._attachments[attachment.name] = attachment
        if self._session is not None:
            self._session.attachments = tuple(self._attachments.values())

    def on_message(self, topic: int, data: bytes, now_ns: int, stamp_ns: int) -> None:
        """Take one message.

        Args:
            topic: index into `topics`.
            data: serialized message.
            now_ns: receive time, robot clock, ns.
            stamp_ns: header stamp, ns.
        """
        self._follow_clock(now_ns)
        self.audit.add(topic, stamp_ns, now_ns, self._monotonic_s())
        sample = Sample(topic, data, now_ns, stamp_ns)
        for session in self._postroll.concerned(stamp_ns):
            self._put(session, sample)
        if self._session is not None:
            self._put(self._session, sample)
        self._preroll.add(sample)
        if self._topics[topic].spec.latched:
            self._preroll.latch(sample)

    def on_lost(self, topic: int, count: int) -> None:
        """Count messages that the sequence numbers say were sent and never arrived."""
        self.audit.add_lost(topic, count)
        if self._session is not None:
            self._session.lost[topic] += count

    def on_start(self, start: EpisodeStart, now_ns: int) -> None:
        """Take an Episode message that says RUNNING; repeated ones are recorded and change nothing."""
        self._follow_clock(now_ns)
        if now_ns == 0:  # no /clock yet: whether it began before us is not known
            self._early_start = start
            return
        self._early_start = None
        sample = Sample(self._episode_index, start.data, now_ns, start.started_ns)
        if self._session is not None:
            if self._session.episode_id == start.episode_id:
                self._put(self._session, sample)
                return
            note = f'no end was announced before episode {start.episode_id} began'
            self._end(EpisodeEnd(start.started_ns, 'aborted', 'recorder', note))
        if start.episode_id == self._refused:
            return
        if (start.episode_id, start.started_ns) == self._recorded:  # it ended here already
            return
        late = self._clock.lateness(start)
        reason = late or self._admission.reason_to_refuse(start)
        self.trouble = reason
        if reason:
            self._refused = start.episode_id
            self.missed = start.episode_id if late else ''
            text = f'episode {start.episode_id} is not recorded: {reason}'
            self._notices.append(Notice('error', text))
            return
        self.missed = ''
        self._recorded = start.episode_id, start.started_ns
        if self.warning:
            self._notices.append(Notice('warn', self.warning))
        self._session = Session(
            start, self._topics, self._config, tuple(self._attachments.values())
        )
        self.audit.begin(start.started_ns, self._monotonic_s())
        before = self._preroll.before(start.started_ns, now_ns)
        self._writer.begin(self._session, [*before, sample])

    def on_end(self, episode_id: str, end: EpisodeEnd, data: bytes, now_ns: int) -> None:
        """Take an Episode message that says ENDED; one of an episode that is not under way is ignored.

        A restarted episode node ends the lost episode at its start, for it knows no better: it is ended now.
        """
        self._follow_clock(now_ns)
        if self._early_start is not None and self._early_start.episode_id == episode_id:
            self._early_start = None
        if self.missed == episode_id:
            self.missed = ''
        if self._session is not None and self._session.episode_id == episode_id:
            self._put(self._session, Sample(self._episode_index, data, now_ns, end.ended_ns))
            if end.ended_ns <= self._session.start.started_ns:
                note = 'the end was not announced in time; it is the moment that the recorder heard of it'
                end = replace(end, ended_ns=self._clock.last_ns, note=note)
            self._end(end)

    def on_idle(self, now_ns: int) -> None:
        """Take an Episode message that says IDLE: an episode still under way has lost its node."""
        self._follow_clock(now_ns)
        self._early_start = None
        self.missed = ''
        if self._session is not None:
            note = 'the episode node went idle without announcing an end'
            self._end(EpisodeEnd(max(now_ns, self._clock.last_ns), 'aborted', 'recorder', note))

    def poll(self, now_ns: int) -> list[Notice]:
        """Close what is due; call it about 20 times a second.

        Returns:
            What happened since the last call.

        Raises:
            RuntimeError: the writer thread has died.
        """
        self._follow_clock(now_ns)
        if not self._writer.alive:
            raise RuntimeError('the bag writer thread has died; its error is in the log above')
        session = self._session
        if (
            session is not None and session.failure
        ):  # the writer gave it up, and closes what there is
            self.trouble = session.failure
            self._session = session = None
        if session is not None and now_ns > self._limit_ns(session):
            note = f'no end was announced in {self._config.max_episode_s} s (max_episode_s)'
            self._end(EpisodeEnd(now_ns, 'aborted', 'recorder', note))
        wall_s = self._monotonic_s()
        if self._session is not None:
            self._notices += self._watch.changes(self._session, now_ns, wall_s)
            full = self._watch.must_stop(wall_s)
            if full:
                self.trouble = full
                self._notices.append(Notice('error', f'episode {self.episode_id}: {full}'))
                self._end(EpisodeEnd(now_ns, 'aborted', 'recorder', full))
        for ended in self._postroll.due(now_ns, wall_s):
            self._writer.finish(ended)
        notices = []
        while self._notices:
            notices.append(self._notices.popleft())
        return notices

    def shutdown(self, timeout_s: float = 20.0) -> list[Notice]:
        """Close everything; an episode under way is closed as aborted.

        Returns:
            What happened since the last `poll`.
        """
        if self._session is not None:
            note = 'the recorder was told to stop'
            self._end(EpisodeEnd(self._clock.last_ns, 'aborted', 'shutdown', note))
        self._finish_all()
        if not self._writer.stop(timeout_s):
            self._notices.append(
                Notice('error', f'the disk took more than {timeout_s} s; gave up')
            )
        return list(self._notices)

    def close(self) -> None:
        """Let go of the spool, after `shutdown`."""
        self.spool.close()
        self._lock.close()

    def _recover(self) -> list[Notice]:
        """Repair what was left open; what cannot be repaired now is the writer's, and keeps nobody from recording."""
        try:
            entries = self.spool.recover(self._salvage)
        except (SpoolError, OSError) as error:
            self._writer.repair_later(None)
            text = (
                f'episodes that were left open are not repaired yet: {error}. The recorder goes on, and tries '
                f'again every {REPAIR_S:g} s'
            )
            return [Notice('error', text)]
        self._writer.repair_later([one.episode_id for one in entries if one.state is State.OPEN])
        notices = []
        for entry in entries:
            text = f'episode {entry.episode_id} is {entry.state}: {entry.reason or _WHOLE}'
            if entry.state is State.OPEN:
                text = (
                    f'episode {entry.episode_id} is still open: {entry.reason or LEFT_OPEN}; '
                    f'it is tried again every {REPAIR_S:g} s'
                )
            notices.append(Notice('warn', text))
        return notices

    def _salvage(self, folder: Path, aside: Path, profile: str) -> EpisodeManifest:
        steady = [topic.name for topic in self._topics if topic.spec.periodic]
        return recover_bag(folder, aside, profile or self._config.profile, periodic=steady)

    def _end(self, end: EpisodeEnd) -> None:
        session, self._session = self._session, None
        assert session is not None
        session.end = end
        session.end_wall_s = self._wall_s()
        self._postroll.add(session, self._monotonic_s())

    def _finish_all(self) -> None:
        for session in self._postroll.all():
            self._writer.finish(session)

    def _put(self, session: Session, sample: Sample) -> None:
        if not self._writer.put(session, sample):
            if not session.dropped:
                text = f'episode {session.episode_id}: the disk is too slow, messages are dropped'
                self._notices.append(Notice('error', text))
            session.dropped[sample.topic] += 1
            self.audit.add_dropped(sample.topic)
            self.dropped += 1

    def _follow_clock(self, now_ns: int) -> None:
        tick = self._clock.follow(now_ns, self._monotonic_s())
        if tick is Tick.STARTS and self._early_start is not None:
            self.on_start(self._early_start, now_ns)
        elif tick is Tick.JUMPED_BACK:  # another life of the simulator
            last_ns = self._clock.last_ns
            if self._session is not None:
                note = f'the robot clock jumped from {last_ns / _NS:.3f} to {now_ns / _NS:.3f} s'
                self._end(EpisodeEnd(last_ns, 'aborted', 'recorder', note))
            self._finish_all()
            self._preroll.clear()
            self._clock.begin_anew(now_ns)
        elif tick is Tick.LEAPT and self._session is not None:
            last_ns = self._clock.before_ns
            note = f'the robot clock leapt from {last_ns / _NS:.3f} to {now_ns / _NS:.3f} s'
            if now_ns > self._limit_ns(self._session):
                self._end(EpisodeEnd(last_ns, 'aborted', 'recorder', note))
            else:
                self._session.notes.append(note)

    def _limit_ns(self, session: Session) -> int:
        """Return when an episode without an end is closed, robot clock, ns."""
        return session.start.started_ns + round(self._config.max_episode_s * _NS)
