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
from lwd_recorder.recording.audit import LiveAudit, TopicState
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.facts import EpisodeEnd, EpisodeStart
from lwd_recorder.recording.preroll import PreRoll, Sample
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.recording.session import Session
from lwd_recorder.recording.topics import EPISODE_TOPIC, RecordedTopic
from lwd_recorder.recording.writer import EpisodeWriter, Notice
from lwd_recorder.spool import Spool

_NS = 1_000_000_000
_JUMP_BACK_NS = _NS
_DISK_PERIOD_S = 0.5


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
        self._notices: deque[Notice] = deque()
        self._writer = EpisodeWriter(spool_root, self._config, self._notices.append, self._salvage)
        self._audit = LiveAudit(self._topics, self._config.stall_s)
        self._attachments: dict[str, Attachment] = {}
        self._preroll = PreRoll(
            round(self._config.preroll_s * _NS), self._config.preroll_limit_bytes
        )
        self._latched: dict[int, Sample] = {}
        self._episode_index = next(
            index for index, topic in enumerate(topics) if topic.spec.name == EPISODE_TOPIC
        )
        self._session: Session | None = None
        self._closing: list[tuple[Session, float]] = []
        self._refused = ''
        self._early_start: EpisodeStart | None = None
        self._listening_since_ns = 0
        self._last_ns = 0
        self._disk_looked_s = 0.0
        self.dropped = 0
        """Messages that found the queue full; read-only for others."""
        self.trouble = ''
        """Why the last episode was refused; empty when all is well; read-only for others."""

    def start(self) -> list[Notice]:
        """Recover the spool and start the writer.

        Returns:
            What was found, for the log.

        Raises:
            SchemaError: the definition of a recorded type is missing.
            SpoolError: the spool cannot be opened.
            OSError: the spool's folders cannot be made.
        """
        for topic in self._topics:
            message_definition(topic.spec.type_name)
        self._spool = Spool(self._spool_root)
        self._admission = Admission(self._spool, self._config)
        notices = []
        for entry in self._spool.recover(self._salvage):
            why = (
                entry.reason
                or 'it was left open by a recorder that was killed, and is whole again'
            )
            notices.append(Notice('warn', f'episode {entry.episode_id} is {entry.state}: {why}'))
        self._writer.start()
        return notices

    @property
    def episode_id(self) -> str:
        """The episode under way; empty between episodes."""
        return self._session.episode_id if self._session is not None else ''

    @property
    def preroll_bytes(self) -> int:
        """Memory that the pre-roll holds, bytes."""
        return self._preroll.size_bytes

    @property
    def pending_bytes(self) -> int:
        """Memory between subscriptions and disk, bytes."""
        return self._writer.pending_bytes

    def backlog(self) -> int:
        """Return how many closed episodes are not in the store yet."""
        return self._spool.backlog()

    @property
    def warning(self) -> str:
        """What may soon be in the way of recording; empty when nothing."""
        return self._admission.warning

    def stopped(self) -> list[tuple[str, float]]:
        """Return the steady topics that are silent in the episode under way, and for how long, s."""
        return self._audit.stopped() if self._session is not None else []

    def look(self) -> list[TopicState]:
        """Return what is measured of every topic; rates since the last call."""
        return self._audit.look(self._monotonic_s())

    def attach(self, attachment: Attachment) -> None:
        """Put a file into this and all later bags; one of the same name is replaced."""
        self._attachments[attachment.name] = attachment
        if self._session is not None:
            self._session.attachments = tuple(self._attachments.values())

    def free_bytes(self) -> int:
        """Return the bytes free on the spool's file system."""
        return self._spool.free_bytes()

    def on_message(self, topic: int, data: bytes, now_ns: int, stamp_ns: int) -> None:
        """Take one message.

        Args:
            topic: index into `topics`.
            data: serialized message.
            now_ns: receive time, robot clock, ns.
            stamp_ns: header stamp, ns.
        """
        self._watch_clock(now_ns)
        self._audit.add(topic, stamp_ns, now_ns, self._monotonic_s())
        sample = Sample(topic, data, now_ns, stamp_ns)
        for session, _ in self._closing:
            if session.end is not None and stamp_ns <= session.end.ended_ns:
                self._put(session, sample)
        if self._session is not None:
            self._put(self._session, sample)
        self._preroll.add(sample)
        if self._topics[topic].spec.latched:
            self._latched[topic] = sample

    def on_lost(self, topic: int, count: int) -> None:
        """Count messages that the sequence numbers say were sent and never arrived."""
        self._audit.add_lost(topic, count)
        if self._session is not None:
            self._session.lost[topic] += count

    def on_start(self, start: EpisodeStart, now_ns: int) -> None:
        """Take an Episode message that says RUNNING; repeated ones are recorded and change nothing."""
        self._watch_clock(now_ns)
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
        reason = self._lateness(start) or self._admission.reason_to_refuse(start)
        self.trouble = reason
        if reason:
            self._refused = start.episode_id
            missed = start.episode_id if self._is_late(start) else ''
            self._notices.append(
                Notice(
                    'error', f'episode {start.episode_id} is not recorded: {reason}', missed=missed
                )
            )
            return
        if self.warning:
            self._notices.append(Notice('warn', self.warning))
        first_ns = start.started_ns - round(self._config.preroll_s * _NS)
        samples = list(self._preroll.since(first_ns))
        there = {one.topic for one in samples}
        latched = [
            one._replace(log_ns=min(now_ns, max(first_ns, 0)))
            for topic, one in self._latched.items()
            if topic not in there
        ]
        self._session = Session(
            start, self._topics, self._config, tuple(self._attachments.values())
        )
        self._audit.begin(start.started_ns, self._monotonic_s())
        self._writer.begin(self._session, [*latched, *samples, sample])

    def on_end(self, episode_id: str, end: EpisodeEnd, data: bytes, now_ns: int) -> None:
        """Take an Episode message that says ENDED; one of an episode that is not under way is ignored.

        A restarted episode node ends the lost episode at its start, for it knows no better: it is ended now.
        """
        self._watch_clock(now_ns)
        if self._early_start is not None and self._early_start.episode_id == episode_id:
            self._early_start = None
        if self._session is not None and self._session.episode_id == episode_id:
            self._put(self._session, Sample(self._episode_index, data, now_ns, end.ended_ns))
            if end.ended_ns <= self._session.start.started_ns:
                note = 'the end was not announced in time; it is the moment that the recorder heard of it'
                end = replace(end, ended_ns=self._last_ns, note=note)
            self._end(end)

    def on_idle(self, now_ns: int) -> None:
        """Take an Episode message that says IDLE: an episode still under way has lost its node."""
        self._watch_clock(now_ns)
        self._early_start = None
        if self._session is not None:
            note = 'the episode node went idle without announcing an end'
            self._end(EpisodeEnd(max(now_ns, self._last_ns), 'aborted', 'recorder', note))

    def poll(self, now_ns: int) -> list[Notice]:
        """Close what is due; call it about 20 times a second.

        Returns:
            What happened since the last call.

        Raises:
            RuntimeError: the writer thread has died.
        """
        self._watch_clock(now_ns)
        if not self._writer.alive:
            raise RuntimeError('the bag writer thread has died; its error is in the log above')
        session = self._session
        if session is not None:
            limit_ns = session.start.started_ns + round(self._config.max_episode_s * _NS)
            if now_ns > limit_ns:
                note = f'no end was announced in {self._config.max_episode_s} s (max_episode_s)'
                self._end(EpisodeEnd(now_ns, 'aborted', 'recorder', note))
            else:
                self._watch(session, now_ns)
        wall_s = self._monotonic_s()
        for item in list(self._closing):
            if self._is_due(*item, now_ns=now_ns, wall_s=wall_s):
                self._closing.remove(item)
                self._writer.finish(item[0])
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
            self._end(EpisodeEnd(self._last_ns, 'aborted', 'shutdown', note))
        self._finish_all()
        if not self._writer.stop(timeout_s):
            self._notices.append(
                Notice('error', f'the disk took more than {timeout_s} s; gave up')
            )
        return list(self._notices)

    def close(self) -> None:
        """Let go of the spool, after `shutdown`."""
        self._spool.close()

    def _salvage(self, folder: Path, aside: Path, profile: str) -> EpisodeManifest:
        steady = [topic.name for topic in self._topics if topic.spec.periodic]
        return recover_bag(folder, aside, profile or self._config.profile, periodic=steady)

    def _is_late(self, start: EpisodeStart) -> bool:
        return start.started_ns < self._listening_since_ns

    def _lateness(self, start: EpisodeStart) -> str:
        if not self._is_late(start):
            return ''
        late_s = (self._listening_since_ns - start.started_ns) / _NS
        return f'it began {late_s:.2f} s before the recorder; waiting for the next one'

    def _watch(self, session: Session, now_ns: int) -> None:
        """Name what stops or comes back in an episode, and end the episode before the disk is full."""
        wall_s = self._monotonic_s()
        for change in self._audit.changes(now_ns, wall_s):
            at_s = (now_ns - session.start.started_ns) / _NS
            if change.stopped:
                came = f'came at {change.rate_hz:.1f} Hz' if change.rate_hz else 'never came'
                text = f'{change.name} stopped: nothing for {change.silent_s:.1f} s, {came}'
            else:
                text = f'{change.name} is back after {change.silent_s:.1f} s'
            session.notes.append(f'{text} (at {at_s:.1f} s)')
            level = 'error' if change.stopped else 'info'
            self._notices.append(Notice(level, f'episode {session.episode_id}: {text}'))
        if wall_s - self._disk_looked_s >= _DISK_PERIOD_S:
            self._disk_looked_s = wall_s
            full = self._admission.must_stop()
            if full:
                self.trouble = full
                self._notices.append(Notice('error', f'episode {session.episode_id}: {full}'))
                self._end(EpisodeEnd(now_ns, 'aborted', 'recorder', full))

    def _end(self, end: EpisodeEnd) -> None:
        session, self._session = self._session, None
        assert session is not None
        session.end = end
        session.end_wall_s = self._wall_s()
        self._closing.append((session, self._monotonic_s()))

    def _finish_all(self) -> None:
        for session, _ in self._closing:
            self._writer.finish(session)
        self._closing.clear()

    def _is_due(
        self, session: Session, ended_wall_s: float, *, now_ns: int, wall_s: float
    ) -> bool:
        assert session.end is not None
        waited_s = wall_s - ended_wall_s
        rolled_s = (now_ns - session.end.ended_ns) / _NS
        if waited_s < self._config.postroll_wall_s:
            return False
        return (
            rolled_s >= self._config.postroll_s or waited_s >= self._config.postroll_wall_limit_s
        )

    def _put(self, session: Session, sample: Sample) -> None:
        if not self._writer.put(session, sample):
            if not session.dropped:
                text = f'episode {session.episode_id}: the disk is too slow, messages are dropped'
                self._notices.append(Notice('error', text))
            session.dropped[sample.topic] += 1
            self._audit.add_dropped(sample.topic)
            self.dropped += 1

    def _watch_clock(self, now_ns: int) -> None:
        """Follow the robot's clock; a jump back is another life of the simulator."""
        if now_ns >= self._last_ns:
            self._last_ns = now_ns
            if self._listening_since_ns == 0 and now_ns > 0:
                self._listening_since_ns = now_ns
                if self._early_start is not None:
                    self.on_start(self._early_start, now_ns)
            return
        if self._last_ns - now_ns < _JUMP_BACK_NS:
            return
        if self._session is not None:
            note = f'the robot clock jumped from {self._last_ns / _NS:.3f} to {now_ns / _NS:.3f} s'
            self._end(EpisodeEnd(self._last_ns, 'aborted', 'recorder', note))
        self._finish_all()
        self._preroll.clear()
        self._latched.clear()
        self._listening_since_ns = self._last_ns = now_ns
