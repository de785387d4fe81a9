"""Read a robot profile YAML into frozen dataclasses.

Everything that needs a joint name, a limit, a camera size or a rate takes it from here: the simulator, the arbiter,
the policy, the recorder and ingest. No rclpy, no torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml


class ProfileError(ValueError):
    """A robot profile is missing or malformed; the message names the file, the field and the remedy."""


@dataclass(frozen=True, slots=True)
class Joint:
    """One commanded joint. Arm joints in rad; grippers 0 open .. 1 closed."""

    name: str
    lower: float
    upper: float
    velocity: float  # largest |rate|, rad/s (grippers 1/s)
    acceleration: float  # largest |acceleration|, rad/s^2 (grippers 1/s^2)
    home: float  # start pose


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera stream; `topic` is relative to the robot's namespace."""

    name: str
    topic: str
    width: int
    height: int
    rate_hz: float


@dataclass(frozen=True, slots=True)
class RobotProfile:
    """Facts of one robot. Order of `joints` is the order of every action vector (A = len(joints))."""

    name: str
    control_rate_hz: float
    horizon: int  # H, steps of an action chunk
    replan_steps: int  # steps of a chunk executed before the next one is asked for
    joints: tuple[Joint, ...]
    state_names: tuple[str, ...]  # measured joints, in the order of `state_columns`
    cameras: tuple[Camera, ...]
    policy_image: tuple[int, int] | None = (
        None  # (width, height) of every image that a policy sees; None: the cameras'
    )

    @property
    def policy_image_size(self) -> tuple[int, int]:
        """(width, height) of every image that a policy sees, whatever the cameras deliver.

        Raises:
            ProfileError: it is not given, and the cameras differ in size.
        """
        if self.policy_image is not None:
            return self.policy_image
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) != 1:
            raise ProfileError(
                f'{self.name}: cameras of {len(sizes)} sizes, {sorted(sizes)} (width, height): say in the profile what '
                'a policy sees of them, e.g. policy_image: {width: 224, height: 224}'
            )
        return sizes.pop()

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the action's columns, length A."""
        return tuple(joint.name for joint in self.joints)

    @property
    def state_columns(self) -> tuple[str, ...]:
        """Columns of every state vector, length S: the measured joints' positions, then their velocities.

        Without velocities a policy cannot tell a hand that speeds up from one that brakes. A driver that publishes
        none is taken to be at rest, in training as in deployment.
        """
        return (*self.state_names, *(f'velocity/{name}' for name in self.state_names))

    @property
    def control_period_s(self) -> float:
        """Seconds per control tick."""
        return 1.0 / self.control_rate_hz

    @property
    def home(self) -> npt.NDArray[np.float64]:
        """Start pose, shape (A,), rad and gripper fractions."""
        return np.array([joint.home for joint in self.joints])

    def limits(self, field: str) -> npt.NDArray[np.float64]:
        """One limit of all joints, shape (A,); `field` is lower, upper, velocity or acceleration."""
        return np.array([getattr(joint, field) for joint in self.joints], dtype=np.float64)

    def action_columns_in_state(self) -> tuple[int, ...]:
        """Column of the state vector with the position of each action joint, length A."""
        return tuple(self.state_names.index(joint.name) for joint in self.joints)


def load_profile(name_or_path: str | Path) -> RobotProfile:
    """Read a profile by name (``g1``, ``g1_laptop``) or by path.

    Raises:
        ProfileError: no such profile, not YAML, or a field is missing, unknown, of the wrong type or impossible.
    """
    origin = f'robot profile {name_or_path}'
    text = profile_text(name_or_path)
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f'{origin} is not YAML: {error}; compare with g1.yaml') from error
    if not isinstance(raw, dict):
        raise ProfileError(f'{origin}: expected a mapping at the top, found {type(raw).__name__}')
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f'{origin}: {type(error).__name__}: {error}; compare with g1.yaml'
        ) from error


def profile_text(name_or_path: str | Path) -> bytes:
    """Return the YAML of a profile by name (``g1``, ``g1_laptop``) or by path, as it is on the disk.

    Raises:
        ProfileError: no such profile, or it cannot be read.
    """
    path = Path(name_or_path)
    if path.suffix in ('.yaml', '.yml'):
        try:
            return path.read_bytes()
        except OSError as error:
            raise ProfileError(f'no robot profile at {path}: {error.strerror or error}') from error
    robots = resources.files('lwd_policy_node.profile') / 'robots'
    entry = robots / f'{name_or_path}.yaml'
    if not entry.is_file():
        known = sorted(item.name[:-5] for item in robots.iterdir() if item.name.endswith('.yaml'))
        raise ProfileError(
            f'no robot profile {str(name_or_path)!r}; known: {", ".join(known)}, or give a path to a .yaml'
        )
    return entry.read_bytes()


def _parse(raw: dict[str, Any]) -> RobotProfile:
    joints = tuple(Joint(**item) for item in raw.pop('joints'))
    cameras = tuple(Camera(**item) for item in raw.pop('cameras'))
    image = raw.pop('policy_image', None)
    profile = RobotProfile(
        joints=joints,
        cameras=cameras,
        state_names=tuple(raw.pop('state_names')),
        policy_image=_size(**image) if image is not None else None,
        **raw,
    )
    _check_unique('joints', profile.joint_names)
    _check_unique('state_names', profile.state_names)
    _check_unique('cameras', (camera.name for camera in cameras))
    missing = set(profile.joint_names) - set(profile.state_names)
    if missing:
        raise ValueError(f'joints not in state_names: {sorted(missing)}')
    _check_positive('control_rate_hz', profile.control_rate_hz)
    _check_whole('horizon', profile.horizon)
    _check_whole('replan_steps', profile.replan_steps, profile.horizon)
    for joint in joints:
        _check_joint(joint)
    for camera in cameras:
        _check_whole(f'{camera.name}: width', camera.width)
        _check_whole(f'{camera.name}: height', camera.height)
        _check_positive(f'{camera.name}: rate_hz', camera.rate_hz)
    return profile


def _check_joint(joint: Joint) -> None:
    for field in ('lower', 'upper', 'home'):
        _check_finite(f'{joint.name}: {field}', getattr(joint, field))
    for field in ('velocity', 'acceleration'):
        _check_positive(f'{joint.name}: {field}', getattr(joint, field))
    if not joint.lower < joint.upper:
        raise ValueError(f'{joint.name}: lower {joint.lower} is not below upper {joint.upper}')
    if not joint.lower <= joint.home <= joint.upper:
        raise ValueError(f'{joint.name}: home {joint.home} outside [{joint.lower}, {joint.upper}]')


def _check_finite(what: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value)):
        raise ValueError(f'{what} is {value!r}; it must be a finite number')


def _check_positive(what: str, value: Any) -> None:
    _check_finite(what, value)
    if value <= 0:
        raise ValueError(f'{what} is {value!r}; it must be above 0')


def _check_whole(what: str, value: Any, most: float = math.inf) -> None:
    if not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
        bound = f' to {most}, the horizon' if most < math.inf else ' on'
        raise ValueError(f'{what} is {value!r}; it must be a whole number from 1{bound}')


def _check_unique(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f'{what}: {", ".join(twice)} more than once')


def _size(width: int, height: int) -> tuple[int, int]:
    if not all(isinstance(side, int) and side >= 16 for side in (width, height)):
        raise ValueError(
            f'policy_image is {width}x{height}; both must be whole numbers from 16 on'
        )
    return width, height
