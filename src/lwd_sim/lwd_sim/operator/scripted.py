"""The scripted operator: asks the task what to do next, and moves there as its skill allows.

Used for demonstrations (``make_data``), as the person at the teleoperation device (``nodes.scripted_source``) and in
tests. It keeps no phase: the stage comes from geometry, so it can start in any state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lwd_sim.operator.arm_ik import ArmIk
from lwd_sim.operator.joint_motion import JointMotion
from lwd_sim.operator.mistakes import Mistakes
from lwd_sim.operator.skill import Skill
from lwd_sim.tasks import HandGoal, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD
from lwd_sim.tasks.scene import SIDES, grasp_axes
from lwd_sim.world import World

Array = npt.NDArray[np.float64]
_ARM = {'l': slice(0, 7), 'r': slice(7, 14)}
_GRIPPER = {'l': 14, 'r': 15}
_READY = np.array(
    [0.92, 0.22, 0.95]
)  # m: a point over the table whose posture the arms prefer (left; mirrored right)
_SAME_GOAL_M = 0.002
_PATIENCE_TICKS = 20


class Operator:
    """Acts in one world. ``act`` is called once per control tick."""

    def __init__(self, world: World, skill: Skill, seed: int = 0) -> None:
        """``seed`` fixes every random choice; the world must have a scene."""
        self._world = world
        self._skill = skill
        self._motion = JointMotion(world.profile)
        self._model: object | None = None
        self.start(seed)

    def start(self, seed: int | None = None) -> None:
        """Take up from the world's present state, in whatever stage it is; ``seed`` redraws the mistakes."""
        world = self._world
        if seed is not None:
            self._mistakes = Mistakes(self._skill, world, seed)
        if self._model is not world.scene.model:
            self._model = world.scene.model
            self._ik = {side: ArmIk(world.scene.model, side) for side in SIDES}
            self._ready = {side: self._ready_posture(side) for side in SIDES}
        self._solved: dict[str, tuple[HandGoal, Array]] = {}
        self._motion.start(world.scene.data.ctrl[:16])
        self._hopeless_ticks = 0
        self.stage = ''

    def off_by(self) -> float:
        """How far the arms' targets in force are from what this operator last asked for, rad."""
        return float(np.abs(self._motion.target - self._world.scene.data.ctrl[:16])[:14].max())

    @property
    def gave_up(self) -> bool:
        """Whether the operator sees nothing left to do though the task is not solved."""
        return self._hopeless_ticks > _PATIENCE_TICKS

    def act(self) -> Array:
        """Joint targets (16,) for the next tick: rad, grippers 0 open .. 1 closed."""
        world = self._world
        waypoint = self._mistakes.waypoint() or Waypoint('done')
        lost = waypoint.stage == 'done' or world.task.lost(world.scene)
        self._hopeless_ticks = self._hopeless_ticks + 1 if lost else 0
        self.stage = waypoint.stage
        goal = world.profile.home
        speed = np.full(16, self._mistakes.pace())
        speed[14:] = 1.0
        for side, hand in waypoint.hands.items():
            goal[_ARM[side]] = self._joints(side, hand)
            goal[_GRIPPER[side]] = hand.gripper
            speed[_ARM[side]] *= hand.speed
        goal[:14] += self._mistakes.joint_error()
        return self._motion.towards(goal, speed)

    def _joints(self, side: str, hand: HandGoal) -> Array:
        """Arm angles for a hand's goal; the last answer while the goal stays within 2 mm."""
        if side in self._solved:
            before, q = self._solved[side]
            near = np.abs(before.position - hand.position).max() < _SAME_GOAL_M
            if near and np.abs(before.axes - hand.axes).max() < 0.02:
                return q
        ready = self._ready[side]
        start = self._solved[side][1] if side in self._solved else ready
        found = self._ik[side].solve(
            self._world.scene.data.qpos,
            hand.position,
            hand.axes,
            ready,
            start=start,
            iterations=25,
        )
        if (
            found.position_error_m > 0.01
        ):  # a poor start: try from the posture that suits the table
            again = self._ik[side].solve(
                self._world.scene.data.qpos,
                hand.position,
                hand.axes,
                ready,
                start=ready,
                iterations=60,
            )
            if again.position_error_m < found.position_error_m:
                found = again
        self._solved[side] = (hand, found.q)
        return found.q

    def _ready_posture(self, side: str) -> Array:
        mirror = np.array([1.0, 1.0 if side == 'l' else -1.0, 1.0])
        home = self._world.profile.home[_ARM[side]]
        qpos = self._world.scene.data.qpos
        axes = grasp_axes(side, GRASP_TILT_RAD)
        return (
            self._ik[side].solve(qpos, _READY * mirror, axes, home, start=home, iterations=150).q
        )
