"""A mapping: which columns or topics of somebody else's data are our robot's joints, cameras and verdicts.

Written as YAML by the user, one file for all episodes of a source. Every joint of the profile must be mapped, by name
or to a constant: nothing is guessed. docs/interop.md has examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from lwd_learner.interop.errors import InteropError
from lwd_learner.replay.frames import OUTCOMES

NEXT_STATE = 'next_state'
VELOCITIES = ('difference', 'zero', 'message')


@dataclass(frozen=True, slots=True)
class JointEntry:
    """Where one joint's value comes from: scale * column + offset, or a constant."""

    column: str = ''
    """Name (or number) of the source's column."""
    scale: float = 1.0
    offset: float = 0.0
    value: float | None = None
    """A constant instead of a column."""


@dataclass(frozen=True, slots=True)
class VectorMapping:
    """A state or an action."""

    source: str
    """Feature or topic; for an action also `next_state`: where the robot was one tick later."""
    joints: Mapping[str, JointEntry] | None
    """Per joint of ours; None: the source's columns have our names."""
    velocity: str = 'difference'
    """Of a state: difference of positions, zero, message (JointState's own), or the name of a feature."""

    def values(
        self, wanted: Sequence[str], columns: Sequence[str], read: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """Values (T, len(wanted)) in our order and units from the source's (T, len(columns)).

        Raises:
            InteropError: a joint that is not mapped, or a column that the source does not have.
        """
        read = read.reshape(len(read), -1)
        out = np.empty((len(read), len(wanted)))
        for i, joint in enumerate(wanted):
            entry, column = self._entry(joint), self.column(joint, columns)
            if column is None:
                out[:, i] = entry.value
            else:
                out[:, i] = entry.scale * read[:, column] + entry.offset
        return out

    def column(self, joint: str, columns: Sequence[str]) -> int | None:
        """Number of the source's column that a joint comes from; None where it is a constant.

        Raises:
            InteropError: a joint that is not mapped, or a column that the source does not have.
        """
        entry = self._entry(joint)
        if entry.value is not None:
            return None
        if entry.column in columns:
            return columns.index(entry.column)
        if entry.column.isdigit() and int(entry.column) < len(columns):
            return int(entry.column)
        raise InteropError(
            f'{self.source} has no column {entry.column!r} for joint {joint}; it has {", ".join(columns)}'
        )

    def _entry(self, joint: str) -> JointEntry:
        entry = JointEntry(joint) if self.joints is None else self.joints.get(joint)
        if entry is None:
            raise InteropError(
                f'the mapping of {self.source} has no joint {joint}; map it, or give it a value'
            )
        return entry


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """How an episode is judged."""

    outcome: str = ''
    """The same verdict for all episodes, unless a label file says otherwise."""
    feature: str = ''
    """Else: success if this feature's last value is at least `at_least`, failure if not."""
    at_least: float = 0.5


@dataclass(frozen=True, slots=True)
class ImportMapping:
    """One source's mapping."""

    profile: str
    """Robot profile of the replay, by name or path."""
    robot_id: str
    """Robot that the episodes are attributed to."""
    task: str
    """Name of the task."""
    state: VectorMapping
    action: VectorMapping
    cameras: Mapping[str, str]
    """Feature or topic of each of our cameras."""
    outcome: OutcomeRule
    kind: str = 'demonstration'
    """demonstration or play: imports are offline data."""
    instruction: str = ''
    """The sentence for the policy; empty: LeRobot's task of the episode."""
    stamps: str = 'header'
    """Bags: header stamps, or received: when a message was recorded."""
    image_size: tuple[int, int] | None = None
    """(width, height) that pictures are scaled to; None: as the profile's policy sees them, or as its cameras are."""
    jpeg_quality: int = 95
    """Of pictures that are encoded anew."""


def load_mapping(path: Path) -> ImportMapping:
    """Read a mapping.

    Raises:
        InteropError: no such file, or a field is missing, unknown or of the wrong kind.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InteropError(f'{path} cannot be read: {error}') from error
    if not isinstance(raw, dict):
        raise InteropError(f'{path}: expected a mapping at the top')
    try:
        return parse_mapping(raw)
    except InteropError as error:
        raise InteropError(f'{path}: {error}') from error


def parse_mapping(raw: dict[str, Any]) -> ImportMapping:
    """A mapping from YAML's objects.

    Raises:
        InteropError: naming the field, its value and what is expected.
    """
    known = {field.name for field in fields(ImportMapping)}
    if unknown := set(raw) - known:
        raise InteropError(
            f'unknown {", ".join(sorted(unknown))}; known: {", ".join(sorted(known))}'
        )
    needed = ('profile', 'robot_id', 'task', 'state', 'action', 'cameras')
    if missing := [name for name in needed if name not in raw]:
        raise InteropError(f'{", ".join(missing)} missing')
    cameras = raw['cameras']
    if not isinstance(cameras, dict) or not all(isinstance(v, str) for v in cameras.values()):
        raise InteropError(f'cameras is {cameras!r}; expected our camera: their feature or topic')
    if raw.get('kind', 'demonstration') not in ('demonstration', 'play'):
        raise InteropError(f'kind is {raw["kind"]!r}; expected demonstration or play')
    if raw.get('stamps', 'header') not in ('header', 'received'):
        raise InteropError(f'stamps is {raw["stamps"]!r}; expected header or received')
    size = raw.get('image_size')
    if size is not None and not (
        isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) for s in size)
    ):
        raise InteropError(f'image_size is {size!r}; expected [width, height]')
    simple = {
        name: raw[name]
        for name in (
            'profile',
            'robot_id',
            'task',
            'kind',
            'instruction',
            'stamps',
            'jpeg_quality',
        )
        if name in raw
    }
    return ImportMapping(
        **simple,
        state=_vector('state', raw['state']),
        action=_vector('action', raw['action']),
        cameras=dict(cameras),
        outcome=_outcome(raw.get('outcome', '')),
        image_size=None if size is None else (size[0], size[1]),
    )


def _vector(name: str, raw: Any) -> VectorMapping:
    if raw == NEXT_STATE and name == 'action':
        return VectorMapping(NEXT_STATE, None)
    allowed = ('source', 'joints', 'velocity') if name == 'state' else ('source', 'joints')
    if not isinstance(raw, dict) or 'source' not in raw or set(raw) - set(allowed):
        raise InteropError(f'{name} is {raw!r}; expected {", ".join(allowed)}')
    joints = raw.get('joints', 'same')
    if joints != 'same' and not isinstance(joints, dict):
        raise InteropError(f'{name}.joints is {joints!r}; expected same, or a mapping by joint')
    entries = (
        None if joints == 'same' else {str(j): _joint(f'{name}.{j}', e) for j, e in joints.items()}
    )
    return VectorMapping(str(raw['source']), entries, str(raw.get('velocity', 'difference')))


def _joint(name: str, raw: Any) -> JointEntry:
    if isinstance(raw, (str, int)):
        return JointEntry(str(raw))
    if isinstance(raw, dict) and not set(raw) - {'column', 'scale', 'offset', 'value'}:
        try:
            if 'value' in raw:
                return JointEntry(value=float(raw['value']))
            return JointEntry(
                str(raw['column']), float(raw.get('scale', 1.0)), float(raw.get('offset', 0.0))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InteropError(f'{name} is {raw!r}: {error}') from error
    raise InteropError(
        f'{name} is {raw!r}; expected a column, or column with scale and offset, or value'
    )


def _outcome(raw: Any) -> OutcomeRule:
    if isinstance(raw, str) and raw in ('', *OUTCOMES):
        return OutcomeRule(raw)
    if isinstance(raw, dict) and 'feature' in raw and not set(raw) - {'feature', 'at_least'}:
        return OutcomeRule(feature=str(raw['feature']), at_least=float(raw.get('at_least', 0.5)))
    raise InteropError(
        f'outcome is {raw!r}; expected {", ".join(OUTCOMES)}, or feature and at_least'
    )
