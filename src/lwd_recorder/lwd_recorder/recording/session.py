"""One episode on its way into the spool. Everything here but the marked fields belongs to the writer thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lwd_recorder.bag import BagSummary, BagWriter
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording.facts import ControlFacts, EpisodeEnd, EpisodeStart
from lwd_recorder.recording.preroll import Sample
from lwd_recorder.recording.topics import EXECUTED_ACTION_TOPIC, TopicSpec
from lwd_recorder.spool import Spool


@dataclass(frozen=True, slots=True)
class RecordedTopic:
    """A topic as this robot has it."""

    name: str
    """Absolute name, e.g. /g1_01/joint_states."""
    spec: TopicSpec
    """Type, QoS and what is expected of it."""


@dataclass(slots=True, eq=False)
class Session:
    """One episode under way."""

    start: EpisodeStart
    """Which episode."""
    topics: Sequence[RecordedTopic]
    """What is recorded."""
    profile: str
    """Robot profile's name."""
    end: EpisodeEnd | None = None
    """Set by the receiving thread, before the session is closed."""
    end_wall_s: float = 0.0
    """Wall clock when the end arrived, s since the epoch; set by the receiving thread."""
    dropped: Counter[int] = field(default_factory=Counter)
    """Messages by topic that found the queue full; counted by the receiving thread."""
    lost: Counter[int] = field(default_factory=Counter)
    """Messages by topic that the middleware reported lost; counted by the receiving thread."""
    failure: str = ''
    """Why the episode cannot be recorded; empty while all is well."""
    _bag: BagWriter | None = None
    _facts: ControlFacts = field(default_factory=ControlFacts)

    @property
    def episode_id(self) -> str:
        """The episode's id."""
        return self.start.episode_id

    def open(self, spool: Spool) -> None:
        """Enter the episode into the spool and begin its bag.

        Raises:
            SpoolError: the episode is known already, or the journal refuses.
            OSError: the disk refuses.
        """
        folder = spool.open_episode(self.episode_id)
        self._bag = BagWriter(
            folder,
            options={topic.name: topic.spec.options for topic in self.topics},
            measure_from_ns=self.start.started_ns,
            custom_data={'episode_id': self.episode_id, 'robot_id': self.start.robot_id},
        )

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

    def close(self, spool: Spool) -> EpisodeManifest:
        """Finish the bag, write the manifest and hand the episode to the uploader.

        Raises:
            OSError: the disk refuses.
            SpoolError: the journal refuses.
            ManifestError: what the Episode message said does not make a manifest.
        """
        assert self._bag is not None
        summary = self._bag.close()
        manifest = self._manifest(summary)
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
            profile=self.profile,
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

    def _notes(self, summary: BagSummary) -> list[str]:
        assert self.end is not None
        notes = [self.end.note] if self.end.note else []
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
