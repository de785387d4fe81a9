"""What goes into the arbiter and what comes out: plain values, SI units, the robot's clock."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Source(enum.IntEnum):
    """Who moves the robot; values of ControlMode.mode and ExecutedAction.source."""

    HOLD = 0
    POLICY = 1
    HUMAN = 2
    ESTOP = 3


class Clamp(enum.IntFlag):
    """What was changed on a joint; bits of ExecutedAction.clamps."""

    NONE = 0
    POSITION = 1
    VELOCITY = 2
    ACCELERATION = 4
    NON_FINITE = 8
    WRONG_SIZE = 16
    BLEND = 32
    WORKSPACE = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """A policy's plan.

    Attributes:
        stamp_s: time of the observation it was made from; step i is due at
            stamp_s + (i + 1) * step_s.
        episode_id: the episode it belongs to.
        chunk_id: counts up since policy_node was configured.
        policy_version: weights that made it.
        step_s: spacing of the steps, s; 1 ms at least.
        actions: absolute joint targets, shape (H, A), rad and gripper fractions.
    """

    stamp_s: float
    episode_id: str
    chunk_id: int
    policy_version: int
    step_s: float
    actions: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Teleop:
    """A human's wish: `position` has shape (A,); only its deadman counts when it is released."""

    stamp_s: float
    deadman: bool
    position: Vector
    reason: str


@dataclass(frozen=True, slots=True)
class EpisodeState:
    """The episode under way: `started_s` is when it began."""

    episode_id: str
    running: bool
    started_s: float


@dataclass(frozen=True, slots=True)
class Output:
    """One control tick.

    Attributes:
        stamp_s: the tick.
        tick: counts up by one per output.
        source: who moved the robot.
        previous: source before the last change.
        changed: source or reason differs from the tick before.
        position: targets to send, shape (A,).
        wish: targets asked for by the source, shape (A,); the position itself when held.
        clamps: `Clamp` bits per joint, shape (A,), uint8.
        policy_version, chunk_id, chunk_step: provenance; 0 unless source is POLICY.
        observation_age_s: tick minus the observation; NaN unless source is POLICY.
        reason: why this source; empty when the policy runs in normal course.
        episode_id: running episode or empty.
        takeovers: HUMAN spells since the episode began.
        live: an episode runs or a human commands, so the tick is worth recording.
        reseeded: the target was taken from the measured position before this tick.
        sent: the target is to be sent; False while the robot is not seen and the target stands still.
    """

    stamp_s: float
    tick: int
    source: Source
    previous: Source
    changed: bool
    position: Vector
    wish: Vector
    clamps: Flags
    policy_version: int
    chunk_id: int
    chunk_step: int
    observation_age_s: float
    reason: str
    episode_id: str
    takeovers: int
    live: bool
    reseeded: bool
    sent: bool
