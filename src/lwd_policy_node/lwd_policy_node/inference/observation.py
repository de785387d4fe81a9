"""Put the newest images and the joint state of their moment together: what the policy sees.

One observation is one instant: the oldest of the cameras' newest frames, each other camera's frame
nearest to it, and the joint state nearest to it. Until every stream reaches that instant there is
no newer observation, so a lost frame delays and never mixes. Missing and late streams are named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import simplejpeg

from lwd_policy_node.profile import RobotProfile

FRAMES_KEPT = 4  # per camera: enough to find the partner of a frame when one camera lags
STATES_KEPT = 64
CAMERA_SLOP = 0.6  # of a camera period: free-running cameras are at most half a period apart
STATE_SLOP = 1.5  # of a control period
CLOCK_JUMP_S = (
    1.0  # a stamp this much older than the newest means that the robot's clock restarted
)

NS = 1_000_000_000

T = TypeVar('T')
Taken = tuple[int, dict[str, bytes], npt.NDArray[np.float32]]
"""A complete observation still encoded: its stamp (ns), JPEG by camera, and the state (S,)."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the policy is given."""

    stamp_ns: int  # robot clock
    images: Mapping[str, npt.NDArray[np.uint8]]  # camera -> RGB (h, w, 3)
    state: npt.NDArray[np.float32]  # (S,), the profile's state_columns
    instruction: str

    @property
    def stamp_s(self) -> float:
        """Robot clock, s."""
        return self.stamp_ns / NS


class StreamError(ValueError):
    """A stream carries something unusable; the text names it and what was expected."""


def zero_observation(profile: RobotProfile, instruction: str = '') -> Observation:
    """Return black images and the home pose: something to try weights on before the robot sees."""
    state = np.zeros(len(profile.state_columns), dtype=np.float32)
    state[list(profile.action_columns_in_state())] = profile.home
    images = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in profile.cameras}
    return Observation(0, images, state, instruction)


class ObservationAssembler:
    """Keeps the last frames and states of one robot. Not thread-safe: the caller locks."""

    def __init__(self, profile: RobotProfile, late_after_s: float) -> None:
        self._profile = profile
        self._late_after_ns = round(late_after_s * NS)
        self._frames: dict[str, deque[tuple[int, bytes]]] = {
            camera.name: deque(maxlen=FRAMES_KEPT) for camera in profile.cameras
        }
        self._slop_ns = {c.name: round(CAMERA_SLOP * NS / c.rate_hz) for c in profile.cameras}
        self._states: deque[tuple[int, npt.NDArray[np.float32]]] = deque(maxlen=STATES_KEPT)
        self._columns: tuple[tuple[str, ...], list[int]] = ((), [])
        self._bad: dict[str, str] = {}

    def put_image(self, camera: str, stamp_ns: int, jpeg: bytes) -> None:
        """Keep a camera frame (JPEG); frames out of order are dropped."""
        _put(self._frames[camera], stamp_ns, jpeg)

    def put_joint_state(
        self,
        stamp_ns: int,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float] = (),
    ) -> None:
        """Keep a joint state given in any order of names: rad, grippers 0..1, per s; no velocity means at rest."""
        try:
            columns = self._columns_of(tuple(names))
            rates = velocity if len(velocity) else np.zeros(len(names))
            both = np.asarray([position, rates], dtype=np.float32)
            row = both[:, columns].reshape(-1)
        except (StreamError, IndexError, ValueError) as error:
            self._bad['joint_states'] = str(error)
            return
        if not np.isfinite(row).all():
            self._bad['joint_states'] = 'a position or velocity is NaN or infinite'
            return
        self._bad.pop('joint_states', None)
        _put(self._states, stamp_ns, row)

    def newest_stamp_ns(self) -> int | None:
        """Return the stamp of the newest complete observation, or None."""
        found = self._newest()
        return None if found is None else found[0]

    def take(self) -> Taken | None:
        """Return (stamp ns, JPEG by camera, state (S,)) of the newest complete observation."""
        return self._newest()

    def faults(self, now_ns: int) -> list[str]:
        """Name every stream that is missing, late or unusable at `now_ns` (robot clock)."""
        newest = {f'camera {name}': _newest_stamp(kept) for name, kept in self._frames.items()}
        newest['joint_states'] = _newest_stamp(self._states)
        found = []
        for stream, stamp_ns in newest.items():
            if stream in self._bad:
                found.append(f'{stream}: {self._bad[stream]}')
            elif stamp_ns is None:
                found.append(f'{stream}: nothing received')
            elif now_ns - stamp_ns > self._late_after_ns:
                age_s = (now_ns - stamp_ns) / NS
                limit_s = self._late_after_ns / NS
                found.append(f'{stream}: {age_s:.2f} s old, limit {limit_s:g} s')
        return found

    def note_bad_image(self, camera: str, reason: str | None) -> None:
        """Name a camera whose frames cannot be used; None: they can again."""
        if reason is None:
            self._bad.pop(f'camera {camera}', None)
        else:
            self._bad[f'camera {camera}'] = reason

    def _newest(self) -> Taken | None:
        stamps = [_newest_stamp(kept) for kept in self._frames.values()]
        state_stamp = _newest_stamp(self._states)
        if state_stamp is None or not stamps:
            return None
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < len(stamps):
            return None
        stamp_ns = min(known)
        if state_stamp < stamp_ns:
            return None  # the state of that moment is still on its way
        images = {}
        for name, kept in self._frames.items():
            frame_stamp, jpeg = min(kept, key=lambda frame: abs(frame[0] - stamp_ns))
            if abs(frame_stamp - stamp_ns) > self._slop_ns[name]:
                return None
            images[name] = jpeg
        nearest, state = min(self._states, key=lambda kept: abs(kept[0] - stamp_ns))
        if abs(nearest - stamp_ns) > STATE_SLOP * NS * self._profile.control_period_s:
            return None
        return stamp_ns, images, state

    def _columns_of(self, names: tuple[str, ...]) -> list[int]:
        if self._columns[0] != names:
            missing = [name for name in self._profile.state_names if name not in names]
            if missing:
                raise StreamError(f'no position for {", ".join(missing)}')
            self._columns = (names, [names.index(name) for name in self._profile.state_names])
        return self._columns[1]


def decode_images(
    profile: RobotProfile, jpegs: Mapping[str, bytes]
) -> dict[str, npt.NDArray[np.uint8]]:
    """Decode JPEGs into RGB (h, w, 3) of the profile's sizes.

    Raises:
        StreamError: not a JPEG, or of another size; the text begins with the camera's name.
    """
    images = {}
    for camera in profile.cameras:
        try:
            image = simplejpeg.decode_jpeg(jpegs[camera.name], colorspace='RGB')
        except ValueError as error:
            raise StreamError(f'{camera.name}: not a JPEG image: {error}') from error
        if image.shape != (camera.height, camera.width, 3):
            raise StreamError(
                f'{camera.name}: {image.shape[1]}x{image.shape[0]} pixels, the profile '
                f'{profile.name} says {camera.width}x{camera.height}'
            )
        images[camera.name] = image
    return images


def _put(kept: deque[tuple[int, T]], stamp_ns: int, item: T) -> None:
    if kept and stamp_ns <= kept[-1][0]:
        if kept[-1][0] - stamp_ns < CLOCK_JUMP_S * NS:
            return
        kept.clear()
    kept.append((stamp_ns, item))


def _newest_stamp(kept: deque[tuple[int, T]]) -> int | None:
    return kept[-1][0] if kept else None
