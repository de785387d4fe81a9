"""What tasks and operators may read of a world: tool poses, gripper gaps, item poses. Geometry only, no time.

Everything here is a function of the generalised positions (and, for speeds, velocities), so that an operator in
another process that only knows ``qpos`` sees exactly the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import ACTUATORS
from lwd_sim.robot.shapes import FINGER_GAP_CLOSED_M, FINGER_STROKE_M

Array = npt.NDArray[np.float64]
SIDES = ('l', 'r')


@dataclass(frozen=True, slots=True)
class ItemAddress:
    """Where a free item's pose (7 numbers) and velocity (6) stand in qpos and qvel, and its body."""

    body: int
    qpos: int
    qvel: int


class Scene:
    """Named access to one compiled model and its data; shared by a world, its task and its operator."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self._tcp = {side: model.site(f'tcp_{side}').id for side in SIDES}
        self._gripper = {side: int(model.joint(f'gripper_{side}').qposadr[0]) for side in SIDES}
        self._items: dict[str, ItemAddress] = {}
        joint_of = {name: model.actuator(name).trnid[0] for name in ACTUATORS}
        self.actuator_qpos = np.array([model.jnt_qposadr[joint_of[name]] for name in ACTUATORS])
        self.arm_qpos = {'l': self.actuator_qpos[:7], 'r': self.actuator_qpos[7:14]}

    def item(self, name: str) -> ItemAddress:
        """Address of the free body ``name``."""
        if name not in self._items:
            joint = self.model.joint(f'{name}_free')
            body = self.model.body(name).id
            self._items[name] = ItemAddress(body, int(joint.qposadr[0]), int(joint.dofadr[0]))
        return self._items[name]

    def place(self, name: str, position: Array, yaw: float = 0.0) -> None:
        """Put an item upright at ``position`` (3,) m, turned by ``yaw`` rad, at rest."""
        at = self.item(name)
        self.data.qpos[at.qpos : at.qpos + 3] = position
        self.data.qpos[at.qpos + 3 : at.qpos + 7] = np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)
        self.data.qvel[at.qvel : at.qvel + 6] = 0.0

    def position(self, name: str) -> Array:
        """Centre of an item, (3,) m in the base frame."""
        at = self.item(name).qpos
        centre: Array = self.data.qpos[at : at + 3].copy()
        return centre

    def axes(self, name: str) -> Array:
        """An item's axes as columns, (3, 3)."""
        at = self.item(name).qpos
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, self.data.qpos[at + 3 : at + 7])
        return flat.reshape(3, 3)

    def speed(self, name: str) -> float:
        """An item's speed, m/s."""
        at = self.item(name).qvel
        return float(np.linalg.norm(self.data.qvel[at : at + 3]))

    def close_linkages(self) -> None:
        """Move each joint that an equality ties to another to where that puts it (the outer fingers).

        Physics does it by itself; whoever sets ``qpos`` and computes kinematics alone asks for it.
        """
        model, qpos = self.model, self.data.qpos
        for tie in np.flatnonzero(model.eq_type == mujoco.mjtEq.mjEQ_JOINT):
            tied, leading = model.jnt_qposadr[[model.eq_obj1id[tie], model.eq_obj2id[tie]]]
            travel = qpos[leading] - model.qpos0[leading]
            powers = travel ** np.arange(5)
            qpos[tied] = model.qpos0[tied] + model.eq_data[tie, :5] @ powers

    def slide(self, joint: str) -> float:
        """Position of a hinge or slide of the furniture (a door, a lid): rad or m."""
        return float(self.data.qpos[self.model.joint(joint).qposadr[0]])

    def latched(self, name: str) -> bool:
        """Whether a latch (:func:`latch_xml`) is set."""
        return self.slide(name) > 0.5

    def latch(self, name: str, value: bool = True) -> None:
        """Set or clear a latch."""
        joint = self.model.joint(name)
        self.data.qpos[joint.qposadr[0]] = float(value)
        self.data.qvel[joint.dofadr[0]] = 0.0

    def tcp(self, side: str) -> Array:
        """Tool centre of one hand (``l`` or ``r``), (3,) m in the base frame."""
        centre: Array = self.data.site_xpos[self._tcp[side]].copy()
        return centre

    def tool_axes(self, side: str) -> Array:
        """Tool frame of one hand, (3, 3): columns are minus the closing axis, the third axis, the approach."""
        axes: Array = self.data.site_xmat[self._tcp[side]].reshape(3, 3).copy()
        return axes

    def gap(self, side: str) -> float:
        """Distance between the pads of one gripper, m."""
        travel = float(self.data.qpos[self._gripper[side]])
        return 2 * (FINGER_STROKE_M - travel) + FINGER_GAP_CLOSED_M

    def holds(self, side: str, point: Array, width: float) -> bool:
        """Whether a thing ``width`` m wide at ``point`` (3,) is held between the pads of one hand."""
        if self.gap(side) > width + 0.006:
            return False
        across, third, along = self.tool_axes(side).T @ (point - self.tcp(side))
        return bool(abs(across) < 0.015 and abs(third) < 0.03 and abs(along) < 0.04)


def latch_xml(name: str) -> str:
    """One remembered yes or no, as the position of a weightless slide that nothing touches.

    What an episode must remember (shaken enough, cut through) stands in qpos like everything else, so that whoever
    shadows a world by its qpos knows it too.
    """
    return (
        f'<body name="{name}_latch" pos="0 0 -9" gravcomp="1"><joint name="{name}" type="slide" damping="1000"/>'
        '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/></body>'
    )


def grasp_axes(side: str, tilt: float, yaw: float = 0.0) -> Array:
    """Tool frame (3, 3) whose approach points ``tilt`` rad below the horizon, turned ``yaw`` rad from straight ahead.

    The closing axis is level. Each hand has its own roll, the one nearer to its start pose; the wrist cameras are
    above the hand in both.
    """
    approach = np.array([np.cos(tilt) * np.cos(yaw), np.cos(tilt) * np.sin(yaw), -np.sin(tilt)])
    across = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    if side == 'r':
        across = -across
    return np.stack([across, np.cross(approach, across), approach], axis=1)
