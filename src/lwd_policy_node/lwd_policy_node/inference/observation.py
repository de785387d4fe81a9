"""Put the newest images and the joint state of their moment together: what the policy sees.

One observation is one instant, and nothing in it is from later: the newest frame of each camera and the
newest joint state up to that instant, as replay has them in the row of the same moment. The instant is the
stamp of a frame at which no camera's newest frame is too old, so a lost frame delays and never mixes. Missing
and late streams are named.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import simplejpeg

from lwd_policy_node.image_size import decoded
from lwd_policy_node.profile import RobotProfile

KEPT_S = 1.0  # of each stream: the others' frames wait as long for one that lags
STATE_SPACING_S = (
    0.004  # joint states that come faster are thinned out: a state is at most this much older
)
CAMERA_AGE = (
    0.75  # of a camera period: three free-running cameras always meet within two thirds of one
)
STATE_AGE = 1.5  # of a control period
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
        # What comes later than this makes plans that are over before the next one; its frame is a period old at most.
        usable_s = (profile.horizon - profile.replan_steps) / profile.control_rate_hz
        period_s = max((1.0 / camera.rate_hz for camera in profile.cameras), default=0.0)
        self._late_after_ns = round(min(late_after_s, usable_s + period_s) * NS)
        self._frames: dict[str, deque[tuple[int, bytes]]] = {
            camera.name: deque() for camera in profile.cameras
        }
        self._period_ns = {c.name: round(NS / c.rate_hz) for c in profile.cameras}
        self._max_state_age_ns = round(STATE_AGE * NS * profile.control_period_s)
        self._states: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
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
        states = self._states
        if len(states) > 1 and 0 < stamp_ns - states[-2][0] < STATE_SPACING_S * NS:
            if stamp_ns > states[-1][0]:
                states[-1] = stamp_ns, row
            return
        _put(states, stamp_ns, row)

    def newest_stamp_ns(self) -> int | None:
        """Return the stamp of the newest complete observation, or None."""
        found = self._newest()
        return None if found is None else found[0]

    def take(self) -> Taken | None:
        """Return (stamp ns, JPEG by camera, state (S,)) of the newest complete observation."""
        return self._newest()

    def faults(self, now_ns: int) -> list[str]:
        """Name every stream that is missing, late or unusable at `now_ns` (robot clock), or that they never meet."""
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
                found.append(f'{stream}: {age_s:.2f} s old, limit {limit_s:.3g} s')
        return found or self._apart(now_ns, newest)

    def _apart(self, now_ns: int, newest: Mapping[str, int | None]) -> list[str]:
        """What keeps streams that are all there from making an observation."""
        instant_ns = self.newest_stamp_ns()
        if instant_ns is not None and now_ns - instant_ns <= self._late_after_ns:
            return []
        ages = ', '.join(
            f'{stream} {(now_ns - stamp_ns) / NS:.2f} s'
            for stream, stamp_ns in newest.items()
            if stamp_ns is not None
        )
        return [
            f'no instant at which all streams meet; ages of their newest: {ages}; '
            'compare their clocks, delays and rates'
        ]

    def note_bad_image(self, camera: str, reason: str | None) -> None:
        """Name a camera whose frames cannot be used; None: they can again."""
        if reason is None:
            self._bad.pop(f'camera {camera}', None)
        else:
            self._bad[f'camera {camera}'] = reason

    def _newest(self) -> Taken | None:
        instants = {stamp_ns for kept in self._frames.values() for stamp_ns, _ in kept}
        return next(filter(None, map(self._at, sorted(instants, reverse=True))), None)

    def _at(self, stamp_ns: int) -> Taken | None:
        """The observation of an instant; None if a stream is too old there, or its state is still on its way."""
        if not self._states or self._states[-1][0] < stamp_ns:
            return None
        images = {}
        for name, kept in self._frames.items():
            found = _newest_up_to(kept, stamp_ns)
            if found is None:
                return None
            frame_ns, spacing_ns, images[name] = found
            # With twice the profile's rate the next frame is on its way twice as early; one frame tells no rate.
            if stamp_ns - frame_ns > CAMERA_AGE * min(spacing_ns, self._period_ns[name]):
                return None
        state = _newest_up_to(self._states, stamp_ns)
        if state is None or stamp_ns - state[0] > self._max_state_age_ns:
            return None
        return stamp_ns, images, state[2]

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
    """Decode JPEGs of the profile's sizes into RGB (h, w, 3) of the size that a policy sees.

    Raises:
        StreamError: not a JPEG, or of another size; the text begins with the camera's name.
    """
    images = {}
    for camera in profile.cameras:
        try:
            jpeg = jpegs[camera.name]
            height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        except ValueError as error:
            raise StreamError(f'{camera.name}: not a JPEG image: {error}') from error
        if (width, height) != (camera.width, camera.height):  # before it asks for memory
            raise StreamError(
                f'{camera.name}: {width}x{height} pixels, the profile '
                f'{profile.name} says {camera.width}x{camera.height}'
            )
        try:
            if profile.policy_image in (None, (width, height)):
                image = simplejpeg.decode_jpeg(jpeg, colorspace='RGB')
            else:
                image = decoded(jpeg, *profile.policy_image)
        except ValueError as error:
            raise StreamError(f'{camera.name}: not a JPEG image: {error}') from error
        images[camera.name] = image
    return images


def _put(kept: deque[tuple[int, T]], stamp_ns: int, item: T) -> None:
    if kept and stamp_ns <= kept[-1][0]:
        if kept[-1][0] - stamp_ns < CLOCK_JUMP_S * NS:
            return
        kept.clear()
    kept.append((stamp_ns, item))
    while stamp_ns - kept[0][0] > KEPT_S * NS:
        kept.popleft()


def _newest_up_to(kept: deque[tuple[int, T]], stamp_ns: int) -> tuple[int, int, T] | None:
    """Stamp, distance from the one before (0 for the first) and item of the newest up to an instant, or None."""
    number = bisect_right(kept, stamp_ns, key=itemgetter(0)) - 1
    if number < 0:
        return None
    item_ns, item = kept[number]
    return item_ns, item_ns - kept[number - 1][0] if number else 0, item


def _newest_stamp(kept: deque[tuple[int, T]]) -> int | None:
    return kept[-1][0] if kept else None
