"""The episode manifest: what an episode is, and the proof that it is whole.

`manifest.json` is uploaded after every file that it lists; a bag without one does not exist. Readers check every field:
a manifest that does not parse is refused with the field's name, never guessed at.
"""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from lwd_recorder.bag.records import FileRecord, TopicRecord
from lwd_recorder.durable import sha256_of, write_atomically

SCHEMA = 1
MANIFEST_NAME = 'manifest.json'
MAX_MANIFEST_BYTES = 4 << 20
OUTCOMES = ('unknown', 'success', 'failure', 'aborted')
"""Names of Episode.OUTCOME_*, at the index of their value."""
KINDS = ('demonstration', 'rollout', 'play')

_IDENTIFIER = re.compile(r'^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$')
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
_SHA256 = re.compile(r'^[0-9a-f]{64}$')


class ManifestError(Exception):
    """A manifest is not valid; the message names the field, the value and what was expected."""


class ManifestUnreadableError(ManifestError):
    """The system does not read a manifest at the moment, which says nothing of the episode: try again later."""


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What a repaired episode is known to have lost."""

    bytes: int
    """Bytes on the disk that could not be verified; kept in the robot's quarantine."""
    seconds: float
    """How far the lost part reaches beyond the last message that was kept, robot clock, s; 0 where it does not say."""
    topics: tuple[str, ...]
    """Topics of the damaged files: any of them may have lost messages."""


@dataclass(frozen=True, slots=True)
class EpisodeManifest:
    """One delivered episode. Construction checks every field."""

    episode_id: str
    """Unique for ever; letters, digits, `.`, `_`, `-`."""
    robot_id: str
    """Robot that recorded it."""
    profile: str
    """Robot profile, e.g. g1_laptop."""
    task: str
    """e.g. restock."""
    instruction: str
    """The sentence given to the policy."""
    kind: str
    """demonstration or play (offline replay), or rollout (online replay)."""
    seed: int
    """Simulator's seed of the scene; 0 on a real robot."""
    outcome: str
    """success, failure, aborted or unknown."""
    ended_by: str
    """operator, gamepad, service, simulator, timeout, shutdown."""
    started_s: float
    """Start, robot clock, s."""
    ended_s: float
    """End, robot clock, s."""
    ended_wall_s: float
    """Wall clock when it ended, s since the epoch."""
    committed_wall_s: float
    """Wall clock when this manifest was put into the store, s since the epoch; 0 before."""
    files: tuple[FileRecord, ...]
    """Every file of the episode but this manifest."""
    topics: Mapping[str, TopicRecord]
    """Measured facts by absolute topic name."""
    policy_versions: tuple[int, ...] = ()
    """Versions of the weights that acted, ascending."""
    takeovers: int = 0
    """Spells in which a human had control."""
    human_s: float = 0.0
    """Time under human control, s, robot clock."""
    recovered: bool = False
    """Repaired after a crash: messages at its end may be missing, see lost and notes."""
    lost: LossRecord | None = None
    """What a repaired episode lost; None for one that was closed in order."""
    notes: tuple[str, ...] = ()
    """Anything a reader should know: drops, damage, missing topics."""
    schema: int = SCHEMA
    """Version of this layout."""

    def __post_init__(self) -> None:
        _require(
            self.schema == SCHEMA,
            'schema',
            self.schema,
            f'{SCHEMA}; update lwd_recorder to read newer ones',
        )
        for name in ('episode_id', 'robot_id'):
            value = getattr(self, name)
            _require(
                is_identifier(value), name, value, 'letters, digits, ".", "_" or "-", 128 at most'
            )
        for name in ('profile', 'task', 'instruction', 'ended_by'):
            value = getattr(self, name)
            _require(
                isinstance(value, str) and len(value) <= 4096,
                name,
                value,
                'text of 4096 characters at most',
            )
        _require(self.kind in KINDS, 'kind', self.kind, ' or '.join(KINDS))
        _require(self.outcome in OUTCOMES, 'outcome', self.outcome, ' or '.join(OUTCOMES))
        for name in ('started_s', 'ended_s', 'ended_wall_s', 'committed_wall_s', 'human_s'):
            value = getattr(self, name)
            _require(_is_number(value), name, value, 'a finite number of seconds')
        _require(
            self.ended_s >= self.started_s,
            'ended_s',
            self.ended_s,
            f'no less than started_s={self.started_s}',
        )
        for name in ('seed', 'takeovers'):
            value = getattr(self, name)
            _require(_is_count(value), name, value, 'an integer of 0 or more')
        _require(
            all(map(_is_count, self.policy_versions)),
            'policy_versions',
            self.policy_versions,
            'integers',
        )
        _require(isinstance(self.recovered, bool), 'recovered', self.recovered, 'true or false')
        if self.lost is not None:
            _check_loss(self.lost)
        _require(all(isinstance(note, str) for note in self.notes), 'notes', self.notes, 'texts')
        names = [file.name for file in self.files]
        _require(bool(names), 'files', names, 'at least one file')
        _require(len(set(names)) == len(names), 'files', names, 'each name once')
        for file in self.files:
            _check_file(file)
        for topic, record in self.topics.items():
            _check_topic(topic, record)

    @property
    def date(self) -> str:
        """UTC day on which the episode ended, yyyy-mm-dd: a part of its key."""
        return datetime.fromtimestamp(self.ended_wall_s, UTC).strftime('%Y-%m-%d')

    @property
    def key_prefix(self) -> str:
        """Where the episode lives in a store, without a trailing slash."""
        return f'robots/{self.robot_id}/episodes/{self.date}/{self.episode_id}'

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, the manifest left out."""
        return sum(file.size_bytes for file in self.files)

    def same_content(self, other: EpisodeManifest) -> bool:
        """Return whether both manifests speak of the same episode with the same bytes."""
        return self.episode_id == other.episode_id and set(self.files) == set(other.files)

    def to_json(self) -> str:
        """Return the manifest as indented JSON, keys sorted."""
        document = {name: getattr(self, name) for name in _FIELD_NAMES}
        document['files'] = [asdict(file) for file in self.files]
        document['topics'] = {topic: asdict(record) for topic, record in self.topics.items()}
        document['lost'] = None if self.lost is None else asdict(self.lost)
        return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + '\n'

    def save(self, directory: Path) -> Path:
        """Write manifest.json into an episode's folder, whole and durable or not at all."""
        path = directory / MANIFEST_NAME
        write_atomically(path, self.to_json().encode())
        return path

    @classmethod
    def from_json(cls, text: str | bytes) -> EpisodeManifest:
        """Parse a manifest.

        Raises:
            ManifestError: it is not JSON, has a field missing, unknown or of the wrong type, or claims to be too large.
        """
        if len(text) > MAX_MANIFEST_BYTES:
            raise ManifestError(
                f'a manifest of {len(text)} bytes; the limit is {MAX_MANIFEST_BYTES}'
            )
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f'not JSON: {error}') from error
        _require(isinstance(document, dict), 'manifest', type(document).__name__, 'a JSON object')
        _require(document.get('schema') == SCHEMA, 'schema', document.get('schema'), str(SCHEMA))
        document = {'lost': None} | document  # not in manifests of the first months
        missing = [name for name in _FIELD_NAMES if name not in document]
        unknown = [str(name) for name in document if name not in _FIELD_NAMES]
        if missing or unknown:
            raise ManifestError(
                f'fields missing: {missing or "none"}; fields unknown to schema {SCHEMA}: {unknown}'
            )
        for name in ('files', 'policy_versions', 'notes'):
            _require(isinstance(document[name], list), name, document[name], 'a list')
        _require(isinstance(document['topics'], dict), 'topics', document['topics'], 'an object')
        try:
            document['files'] = tuple(FileRecord(**file) for file in document['files'])
            document['topics'] = {
                topic: TopicRecord(**record) for topic, record in document['topics'].items()
            }
            if document['lost'] is not None:
                loss = LossRecord(**document['lost'])
                document['lost'] = replace(loss, topics=tuple(loss.topics))
        except TypeError as error:
            raise ManifestError(f'files, topics or lost: {error}') from error
        for name in ('policy_versions', 'notes'):
            document[name] = tuple(document[name])
        return cls(**document)

    @classmethod
    def load(cls, path: Path) -> EpisodeManifest:
        """Read manifest.json, or the one in a folder.

        Raises:
            ManifestUnreadableError: the system refuses (no memory, no file descriptor, no permission, a disk error).
            ManifestError: it is missing or not valid; the message names the file.
        """
        try:
            path = path / MANIFEST_NAME if path.is_dir() else path
            return cls.from_json(path.read_bytes())
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in _ABSENT:
                raise ManifestError(f'{path}: cannot be read: {why}') from error
            raise ManifestUnreadableError(
                f'{path}: cannot be read now: {why}; try again later, or see to its owner and disk'
            ) from error
        except ManifestError as error:
            raise ManifestError(f'{path}: {error}') from error


_FIELD_NAMES = tuple(field.name for field in fields(EpisodeManifest))


def is_identifier(value: object) -> bool:
    """Return whether a value can stand in a key and a file name as an episode's or robot's id."""
    return isinstance(value, str) and _IDENTIFIER.match(value) is not None and '..' not in value


def file_record(path: Path) -> FileRecord:
    """Measure a file: its name, size and sha256."""
    return FileRecord(path.name, path.stat().st_size, sha256_of(path))


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ManifestError(f'{name} is {str(value)[:200]!r}; expected {expected}')


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is not a JSON number')


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_file(file: FileRecord) -> None:
    plain = (
        isinstance(file.name, str)
        and PurePosixPath(file.name).name == file.name
        and not file.name.startswith('.')
    )
    _require(plain and file.name != MANIFEST_NAME, 'files.name', file.name, 'a plain file name')
    _require(
        _is_count(file.size_bytes), 'files.size_bytes', file.size_bytes, 'an integer of 0 or more'
    )
    hexadecimal = isinstance(file.sha256, str) and _SHA256.match(file.sha256) is not None
    _require(hexadecimal, 'files.sha256', file.sha256, '64 lower-case hex digits')


def _check_topic(topic: str, record: TopicRecord) -> None:
    _require(
        isinstance(topic, str) and topic.startswith('/'), 'topics', topic, 'absolute topic names'
    )
    _require(isinstance(record.type, str), f'topics[{topic}].type', record.type, 'a message type')
    _require(
        _is_count(record.count), f'topics[{topic}].count', record.count, 'an integer of 0 or more'
    )
    for name in ('rate_hz', 'max_gap_s'):
        value = getattr(record, name)
        _require(_is_number(value), f'topics[{topic}].{name}', value, 'a finite number')


def _check_loss(lost: LossRecord) -> None:
    _require(_is_count(lost.bytes), 'lost.bytes', lost.bytes, 'an integer of 0 or more')
    _require(
        _is_number(lost.seconds) and lost.seconds >= 0, 'lost.seconds', lost.seconds, '0 or more'
    )
    names = all(isinstance(topic, str) for topic in lost.topics)
    _require(names, 'lost.topics', lost.topics, 'topic names')
