"""What every row of a replay holds, and the Arrow schema that it is stored under.

The layout is written once, into the schema's metadata when a replay is created, and travels with the data: a replay
can be opened without the robot profile that made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

import pyarrow as pa

METADATA_KEY = b'lwd.replay.layout'
SCHEMA = 2
"""Of the columns of new replays; older ones are read, and appended to, as they are."""
DATASETS: tuple[str, ...] = ('offline', 'online')
MAX_CAMERAS = 8  # the column `new_images` is one byte, a bit per camera

SOURCE_HOLD, SOURCE_POLICY, SOURCE_HUMAN, SOURCE_ESTOP = range(
    4
)  # lwd_msgs/ExecutedAction SOURCE_*


class ReplayError(ValueError):
    """A replay, or what was given to it, is not usable; the message names the thing, the value and the remedy."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class ProfileLike(Protocol):
    """The facts taken from `lwd_policy_node.profile.RobotProfile`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def control_rate_hz(self) -> float: ...  # noqa: D102
    @property
    def joint_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def state_columns(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def cameras(self) -> tuple[_Named, ...]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ReplayLayout:
    """Names and sizes of a replay's columns."""

    profile: str
    control_rate_hz: float
    joint_names: tuple[str, ...]
    """Columns of an action, A of them: rad; grippers 0 open .. 1 closed."""
    state_columns: tuple[str, ...]
    """Columns of a state, S of them: positions in the same units, then velocities per second."""
    cameras: tuple[str, ...]
    schema: int = field(default=SCHEMA, compare=False)
    """Of the columns; 1 had no `ended_wall_s`."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.cameras) <= MAX_CAMERAS:
            raise ReplayError(
                f'a replay holds 1 to {MAX_CAMERAS} cameras, got {len(self.cameras)}'
            )

    @classmethod
    def of(cls, profile: ProfileLike) -> ReplayLayout:
        """The layout of a robot profile."""
        return cls(
            profile=profile.name,
            control_rate_hz=profile.control_rate_hz,
            joint_names=tuple(profile.joint_names),
            state_columns=tuple(profile.state_columns),
            cameras=tuple(camera.name for camera in profile.cameras),
        )

    @property
    def period_s(self) -> float:
        """Seconds per control tick."""
        return 1.0 / self.control_rate_hz

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The JPEG column of each camera, in camera order."""
        return tuple(f'img_{camera}' for camera in self.cameras)

    def arrow_schema(self) -> pa.Schema:
        """The stored schema, this layout in its metadata."""
        text = pa.string()
        fields = [
            pa.field('episode_id', text, nullable=False),
            pa.field('robot', text),
            pa.field('task', text),
            pa.field('instruction', text),
            pa.field('kind', text),
            pa.field('outcome', text),
            pa.field('seed', pa.uint64()),
            *([pa.field('ended_wall_s', pa.float64())] if self.schema >= 2 else []),
            pa.field('label_names', pa.list_(text)),  # only in an episode's first row
            pa.field('t', pa.int32(), nullable=False),
            pa.field('stamp_s', pa.float64(), nullable=False),
            pa.field('state', pa.list_(pa.float32(), len(self.state_columns))),
            pa.field('action', pa.list_(pa.float32(), len(self.joint_names))),
            pa.field('source', pa.uint8(), nullable=False),
            pa.field('policy_version', pa.int64(), nullable=False),
            pa.field('label', pa.list_(pa.float32())),
            pa.field(
                'new_images', pa.uint8(), nullable=False
            ),  # bit c: camera c has a new frame in this row
            *(pa.field(name, pa.large_binary()) for name in self.image_columns),
        ]
        return pa.schema(fields, metadata={METADATA_KEY: json.dumps(asdict(self)).encode()})

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None, origin: str) -> ReplayLayout:
        """Read the layout back from a data set's schema metadata.

        Raises:
            ReplayError: `origin` was not written by this package, or by a newer schema of it.
        """
        if not metadata or METADATA_KEY not in metadata:
            raise ReplayError(
                f'{origin} is a Lance data set but not a replay: it has no {METADATA_KEY.decode()}'
            )
        raw = json.loads(metadata[METADATA_KEY])
        if raw.get('schema') not in range(1, SCHEMA + 1):
            raise ReplayError(
                f'{origin}: replay schema {raw.get("schema")!r}, this version reads 1 to {SCHEMA}; upgrade lwd_learner'
            )
        for key in ('joint_names', 'state_columns', 'cameras'):
            raw[key] = tuple(raw[key])
        return cls(**raw)
