"""One episode on its way into the spool.

The receiving thread has the marked fields; the writer thread opens and writes; the finisher's thread syncs and closes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace

from lwd_recorder.bag import BagSummary, BagWriter, TopicRecord
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording.attachment import Attachment
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.facts import ControlFacts, EpisodeEnd, EpisodeStart
from lwd_recorder.recording.preroll import Sample
from lwd_recorder.recording.topics import EXECUTED_ACTION_TOPIC, RecordedTopic
from lwd_recorder.spool import Spool

AUDIT_METADATA = 'lwd_audit'
"""MCAP metadata record with one JSON text a topic: what was measured, as in the manifest."""


@dataclass(slots=True, eq=False)
class Session:
    """One episode under way."""

    start: EpisodeStart
    """Which episode."""
    topics: Sequence[RecordedTopic]
    """What is recorded."""
    config: RecorderConfig
    """How."""
    attachments: Sequence[Attachment] = ()
    """Files for the bag; replaced by the receiving thread while the episode runs, before its end."""
    end: EpisodeEnd | None = None
    """Set by the receiving thread, before the session is closed."""
    end_wall_s: float = 0.0
    """Wall clock when the end arrived, s since the epoch; set by the receiving thread."""
    notes: list[str] = field(default_factory=list)
    """What was noticed on the way; by the receiving thread, before the session is closed."""
    dropped: Counter[int] = field(default_factory=Counter)
    """Messages by topic that found the queue full; counted by the receiving thread."""
    lost: Counter[int] = field(default_factory=Counter)
    """Messages by topic that the sequence numbers say never arrived; counted by the receiving thread."""
    failure: str = ''
    """Why the episode cannot be recorded; empty while all is well."""
    entered: bool = False
    """Whether the episode stands in the spool's journal because of us."""
    _bag: BagWriter | None = None
    _attached: dict[str, Attachment] = field(default_factory=dict)
    _facts: ControlFacts = field(default_factory=ControlFacts)

    @property
    def episode_id(self) -> str:
        """The episode's id."""
        return self.start.episode_id

    def open(self, spool: Spool, finisher: Executor) -> None:
        """Enter the episode into the spool and begin its bag.

        Args:
            spool: of the calling thread.
            finisher: one thread that finishes files and, later, closes the episode.

        Raises:
            SpoolError: the episode is known already, or the journal refuses.
            OSError: the disk refuses.
        """
        folder = spool.open_episode(self.episode_id, self.config.profile)
        self.entered = True
        self._bag = BagWriter(
            folder,
            options={topic.name: topic.spec.options for topic in self.topics},
            custom_data={'episode_id': self.episode_id, 'robot_id': self.start.robot_id},
            chunk_span_s=self.config.flush_s,
            max_file_bytes=self.config.max_file_bytes,
            max_file_s=self.config.max_file_s,
            measure_from_ns=self.start.started_ns,
            finisher=finisher,
        )
        self._attach()

    def write(self, sample: Sample) -> None:
        """Append one message.

        Raises:
            BagError, SchemaError, OSError: see BagWriter.write.
        """
        assert self._bag is not None
        topic = self.topics[sample.topic]
        self._bag.write(
            topic.name, topic.spec.type_name, sample.data, sample.log_ns, sample.stamp_ns
        )
        if topic.spec.name == EXECUTED_ACTION_TOPIC and sample.stamp_ns >= self.start.started_ns:
            self._facts.add(sample.data, self.episode_id)

    def flush(self) -> None:
        """Hand what was written to the kernel.

        Raises:
            OSError: the disk refuses.
        """
        if self._bag is not None:
            self._bag.flush()

    def sync(self) -> None:
        """Wait until what was flushed is on the disk; called by the finisher while the writer writes.

        Raises:
            OSError: the disk refuses.
        """
        if self._bag is not None:
            self._bag.sync()

    def close(self, spool: Spool) -> EpisodeManifest:
        """Finish the bag, write the manifest and hand the episode to the uploader.

        Raises:
            OSError: the disk refuses.
            SpoolError: the journal refuses.
            ManifestError: what the Episode message said does not make a manifest.
        """
        assert self._bag is not None
        assert self.end is not None
        self._attach()
        audit = self._audit(self._bag.measured(self.end.ended_ns))
        self._bag.describe(AUDIT_METADATA, {name: _json(one) for name, one in audit.items()})
        summary = self._bag.close(self.end.ended_ns)
        manifest = self._manifest(replace(summary, topics=audit))
        manifest.save(summary.directory)
        spool.close_episode(self.episode_id)
        return manifest

    def abandon(self) -> None:
        """Let go of the bag as it is."""
        if self._bag is not None:
            self._bag.abandon()

    def _manifest(self, summary: BagSummary) -> EpisodeManifest:
        start, end = self.start, self.end
        assert end is not None
        return EpisodeManifest(
            episode_id=start.episode_id,
            robot_id=start.robot_id,
            profile=self.config.profile,
            task=start.task,
            instruction=start.instruction,
            kind=start.kind,
            seed=start.seed,
            outcome=end.outcome,
            ended_by=end.ended_by,
            started_s=start.started_ns / 1e9,
            ended_s=max(end.ended_ns, start.started_ns) / 1e9,
            ended_wall_s=self.end_wall_s,
            committed_wall_s=0.0,
            files=summary.files,
            topics=summary.topics,
            policy_versions=tuple(sorted(self._facts.policy_versions)),
            takeovers=self._facts.takeovers,
            human_s=round(self._facts.human_ns / 1e9, 6),
            notes=tuple(self._notes(summary)),
        )

    def _attach(self) -> None:
        """Put files into the bag that are not in it as they are now."""
        assert self._bag is not None
        for one in self.attachments:
            if self._attached.get(one.name) != one:
                self._attached[one.name] = one
                self._bag.attach(one.name, one.media_type, one.data, self.start.started_ns)

    def _audit(self, measured: dict[str, TopicRecord]) -> dict[str, TopicRecord]:
        """Return what was measured in the bag and what is known not to be in it."""
        audit = dict(measured)
        for index, topic in enumerate(self.topics):
            record = measured.get(topic.name)
            lost, dropped = self.lost[index], self.dropped[index]
            if record is None and lost + dropped:
                record = TopicRecord(topic.spec.type_name, 0, 0.0, 0.0)
            if record is not None:
                audit[topic.name] = replace(record, lost=lost, dropped=dropped)
        return audit

    def _notes(self, summary: BagSummary) -> list[str]:
        assert self.end is not None
        notes = [self.end.note] if self.end.note else []
        notes += self.notes
        for index, topic in enumerate(self.topics):
            if self.dropped[index]:
                notes.append(f'{self.dropped[index]} messages of {topic.name} dropped: queue full')
            if self.lost[index]:
                notes.append(f'{self.lost[index]} messages of {topic.name} lost by the middleware')
            if topic.spec.required and topic.name not in summary.topics:
                notes.append(f'no message on {topic.name}')
        if self._facts.unreadable:
            notes.append(f'{self._facts.unreadable} executed_action messages could not be read')
        return notes


def _json(record: TopicRecord) -> str:
    return json.dumps(asdict(record), sort_keys=True)
