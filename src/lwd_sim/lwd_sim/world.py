"""One simulated G1 doing one task at a time, in process: the same world that ``sim_node`` puts on topics.

Deterministic: the same (task, seed, shift) and the same actions give the same states and, on one OpenGL backend, the
same pictures, byte for byte. No rclpy.
"""

from __future__ import annotations

import functools
import logging
import zlib
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import RobotProfile

from lwd_sim.rendering.camera_renderer import CameraRenderer, View
from lwd_sim.robot.g1_model import BODY_POSE, model_xml
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift, Task, make_task, variation
from lwd_sim.tasks.scene import Scene
from lwd_sim.tasks.score import StageScore

PHYSICS_RATE_HZ = 480
_UNSTABLE = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)
_log = logging.getLogger(__name__)


@functools.cache  # each kind once: some come a thousand times
def _tell(kind: str) -> None:
    _log.warning('MuJoCo: %s', kind)


if mujoco.get_mju_user_warning() is None:  # or it writes MUJOCO_LOG.TXT into the working folder
    mujoco.set_mju_user_warning(lambda text: _tell(text.partition(' at DOF')[0]))
_MODEL_FIELDS = (
    'body_pos',
    'body_quat',
    'body_mass',
    'body_inertia',
    'geom_pos',
    'geom_size',
    'geom_rgba',
    'geom_friction',
    'cam_pos',
    'cam_quat',
    'light_diffuse',
    'light_dir',
    *variation.MODEL_FIELDS,
)  # what tasks may randomise


class UnstableError(RuntimeError):
    """The physics blew up; the message names the scene and the tick. The world is of no use until its next reset."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy sees at one control tick."""

    stamp_s: float  # simulated seconds since reset
    tick: int  # control ticks since reset
    images: dict[str, npt.NDArray[np.uint8]]  # RGB (h, w, 3) by camera; empty between camera ticks
    state: npt.NDArray[np.float32]  # (S,) positions, then velocities: the profile's state_columns
    instruction: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The full physical state: what a shadow world needs besides (task, seed, shift)."""

    qpos: npt.NDArray[np.float64]
    qvel: npt.NDArray[np.float64]
    ctrl: npt.NDArray[
        np.float64
    ]  # (20,) 16 action targets as on the wire, then head 2, waist pitch, lift


class _Stage:
    """A compiled task: its scene, the untouched model fields, and a renderer if one is wanted."""

    def __init__(self, name: str, profile: RobotProfile, render: bool) -> None:
        self.task: Task = make_task(name)
        scene_xml = self.task.scene_xml() + variation.decor_xml()
        xml = model_xml(scene_xml, equality=self.task.equality_xml())
        model = mujoco.MjModel.from_xml_string(xml)
        self.scene = Scene(model)
        self.pristine = {field: getattr(model, field).copy() for field in _MODEL_FIELDS}
        views = [View(camera.name, camera.width, camera.height) for camera in profile.cameras]
        self.renderer = CameraRenderer(model, views) if render else None


class World:
    """Steps the physics at 480 Hz under joint targets that change at the profile's control rate."""

    def __init__(self, profile: RobotProfile, render: bool = True) -> None:
        """Nothing is compiled before the first :meth:`reset`; ``render=False`` needs no OpenGL at all.

        All cameras show at the same ticks, as often as the fastest of the profile.

        Raises:
            ValueError: a rate of the profile that cannot be kept (:func:`check_rates`).
        """
        check_rates(profile)
        self.profile = profile
        self._render = render
        self._substeps = round(PHYSICS_RATE_HZ / profile.control_rate_hz)
        self._image_every = round(
            profile.control_rate_hz / max(c.rate_hz for c in profile.cameras)
        )
        self._stages: dict[str, _Stage] = {}
        self._stage: _Stage | None = None
        self._built: tuple[str, int, str] | None = None
        self._actions = len(profile.joints)
        self._score = StageScore(1)
        self.tick = 0

    def reset(
        self, task: str, seed: int, shift: Shift = 'trained', images: bool = True
    ) -> Observation:
        """Build the scene of (task, seed, shift), the robot in its start pose; return the first observation.

        Raises:
            KeyError: no such task.
            ValueError: no such shift, or a negative seed; the scene stays as it is.
            RenderingUnavailableError: the world renders, and there is no OpenGL here; the scene stays as it is.
        """
        self._build(task, seed, shift)
        self.tick = 0
        mujoco.mj_forward(self.scene.model, self.scene.data)
        self._score = StageScore(len(self.task.stages))
        return self.observe(images)

    def step(self, action: npt.NDArray[np.float64], images: bool = True) -> Observation:
        """Advance one control tick under joint targets ``action`` (16,): rad, grippers 0 open .. 1 closed.

        Targets beyond the joint limits are clipped. Images come only at camera ticks, and not
        at all with ``images=False``: rendering costs more than physics.

        Raises:
            ValueError: wrong size or not finite.
            UnstableError: positions, speeds or accelerations are finite no more.
        """
        targets = np.asarray(action, dtype=np.float64)
        if targets.shape != (self._actions,) or not np.isfinite(targets).all():
            raise ValueError(
                f'action must be {self._actions} finite joint targets, got {action!r}'
            )
        model, data = self.scene.model, self.scene.data
        limits = model.actuator_ctrlrange[: self._actions]
        data.ctrl[: self._actions] = np.clip(targets, limits[:, 0], limits[:, 1])
        mujoco.mj_step(model, data, nstep=self._substeps)
        if self._unstable:
            task, seed, shift = self._built or ('no scene', 0, '')
            raise UnstableError(
                f'the simulation of {task}, seed {seed}, {shift!r} became unstable within tick {self.tick + 1}: '
                'reset the world, and count the episode as failed'
            )
        mujoco.mj_kinematics(model, data)  # mj_step leaves poses one substep behind qpos
        self.task.after_step(self.scene)
        self.tick += 1
        self._score.update(self.task.stages_done(self.scene))
        return self.observe(images=images and self.tick % self._image_every == 0)

    def observe(self, images: bool = True) -> Observation:
        """The present observation; with images only if this world renders."""
        pictures = {}
        if images and self._render and self._current.renderer is not None:
            pictures = self._current.renderer.render(self.scene.data)
        stamp = self.tick * self.profile.control_period_s
        return Observation(stamp, self.tick, pictures, self.state(), self.instruction)

    def state(self) -> npt.NDArray[np.float32]:
        """Measured positions, then velocities, (S,) as the profile's ``state_columns``: rad, m, fractions; per s."""
        stage = self._current
        columns, rates = self._state_columns(stage)
        state = np.stack([stage.scene.data.qpos[columns], stage.scene.data.qvel[rates]])
        state[:, self._state_grippers] /= FINGER_STROKE_M
        return state.reshape(-1).astype(np.float32)

    def snapshot(self) -> Snapshot:
        """Copies of the full physical state."""
        data = self.scene.data
        return Snapshot(data.qpos.copy(), data.qvel.copy(), data.ctrl.copy())

    def restore(
        self,
        task: str,
        seed: int,
        shift: Shift,
        qpos: npt.ArrayLike,
        qvel: npt.ArrayLike,
        ctrl: npt.ArrayLike,
    ) -> None:
        """Take over another world's state (:meth:`snapshot`); cheap when the scene is already the same one.

        Only kinematics are computed, so a process that shadows a world every tick costs little.
        """
        if self._built != (task, seed, shift) or self._unstable:
            self._build(task, seed, shift)
        data = self.scene.data
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel, ctrl
        mujoco.mj_kinematics(self.scene.model, data)

    @property
    def scene(self) -> Scene:
        """Poses and gaps of the present scene."""
        return self._current.scene

    @property
    def task(self) -> Task:
        """The task in progress."""
        return self._current.task

    @property
    def instruction(self) -> str:
        """The sentence for the policy."""
        return self.task.instruction

    @property
    def time_limit_s(self) -> float:
        """Seconds an episode of this task may take."""
        return self.task.time_limit_s

    @property
    def success(self) -> bool:
        """The task's success predicate, now."""
        return bool(self.task.success(self.scene))  # messages take no bool of numpy's

    @property
    def progress(self) -> float:
        """Share of the task's stages done, 0 .. 1."""
        return self.task.progress(self.scene)

    @property
    def score(self) -> float:
        """Mean over the stages of this episode: 1 done, 0.5 done again after it was lost, 0 not done."""
        return self._score.value

    def label(self) -> npt.NDArray[np.float32]:
        """Privileged supervision, (L,) m in the base frame."""
        return self.task.label(self.scene)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Columns of :meth:`label`."""
        return self.task.label_names

    def close(self) -> None:
        """Free the OpenGL contexts."""
        for stage in self._stages.values():
            if stage.renderer is not None:
                stage.renderer.close()
        self._stages.clear()
        self._stage = self._built = None

    @property
    def _current(self) -> _Stage:
        if self._stage is None:
            raise RuntimeError('no scene yet: call reset(task, seed) first')
        return self._stage

    @property
    def _unstable(self) -> bool:
        """Whether the physics has blown up since the last reset."""
        warnings = self.scene.data.warning
        return any(warnings[kind].number for kind in _UNSTABLE)

    def _build(self, task: str, seed: int, shift: Shift) -> None:
        if shift not in SHIFTS:
            raise ValueError(f'unknown shift level {shift!r}; one of {", ".join(SHIFTS)}')
        rng = np.random.default_rng([zlib.crc32(task.encode()), SHIFTS.index(shift), seed])
        if task not in self._stages:
            self._stages[task] = _Stage(task, self.profile, self._render)
        stage = self._stage = self._stages[task]
        model, data = stage.scene.model, stage.scene.data
        for field, values in stage.pristine.items():
            getattr(model, field)[:] = values
        mujoco.mj_resetData(model, data)
        targets = np.concatenate(
            [self.profile.home, list((BODY_POSE | stage.task.body_pose).values())]
        )
        data.ctrl[:] = targets
        targets[14:16] *= FINGER_STROKE_M
        data.qpos[stage.scene.actuator_qpos] = targets
        apart = rng.spawn(1)[0]  # what the task draws is the same with and without it
        stage.task.randomise(stage.scene, rng, shift)
        variation.vary(stage.scene, apart, shift)
        self._built = (task, seed, shift)

    def _state_columns(self, stage: _Stage) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if not hasattr(self, '_columns'):
            model = stage.scene.model
            names = self.profile.state_names
            joints = [model.joint(name) for name in names]
            self._columns = (
                np.array([joint.qposadr[0] for joint in joints]),
                np.array([joint.dofadr[0] for joint in joints]),
            )
            self._state_grippers = np.array([name.startswith('gripper') for name in names])
        return self._columns


def check_rates(profile: RobotProfile) -> None:
    """Raise ValueError unless a control tick is a whole number of physics steps, and each camera's period of ticks."""
    control = profile.control_rate_hz
    if PHYSICS_RATE_HZ % control:
        whole = [
            f'{rate}' for rate in range(1, PHYSICS_RATE_HZ + 1) if PHYSICS_RATE_HZ % rate == 0
        ]
        raise ValueError(
            f'control_rate_hz {control:g} cannot be simulated: a control tick must be a whole number of physics steps '
            f'of 1/{PHYSICS_RATE_HZ} s; set one of {", ".join(whole)}'
        )
    for camera in profile.cameras:
        if control % camera.rate_hz:
            shares = ', '.join(f'{control / ticks:g}' for ticks in (1, 2, 3, 4, 5))
            raise ValueError(
                f'camera {camera.name}: rate_hz {camera.rate_hz:g} cannot be simulated: a picture must come every '
                f'whole number of control ticks ({control:g} Hz); set one of {shares}, ...'
            )
