"""The errors of a scripted operator, drawn from its skill: a shaking aim, a slow pace, a wrong item, a dropped one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lwd_sim.operator.skill import Skill
from lwd_sim.tasks import Aim, HandGoal, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD
from lwd_sim.tasks.scene import SIDES, grasp_axes
from lwd_sim.world import World

Array = npt.NDArray[np.float64]
_WANDER_TICKS = 15  # correlation time of wandering errors: half a second


class Mistakes:
    """Wraps one task's waypoints with the errors of one episode."""

    def __init__(self, skill: Skill, world: World, seed: int) -> None:
        self._skill = skill
        self._world = world
        self._rng = rng = np.random.default_rng([7, seed])
        self._scale = world.task.error_scale
        self._pace = float(rng.uniform(skill.speed_low, 1.0))
        self._grasp = self._level(skill.grasp_error_m)
        self._goal = self._level(skill.goal_error_m)
        self._stage = ''
        self._aim = np.zeros(3)
        self._joint = np.zeros(14)
        self._slow_ticks = 0
        self._wrong = bool(rng.random() < skill.wrong_item)
        self._release_at = (
            float(rng.uniform(0.3, 0.8))
            if rng.random() < skill.early_release * self._scale
            else None
        )
        self._wandering = bool(rng.random() < skill.wander)
        self._idea_ticks = 0
        self._idea: Waypoint | None = None

    def waypoint(self) -> Waypoint | None:
        """What this operator wants to do now; None when there is nothing left to do."""
        self._drift()
        task, scene = self._world.task, self._world.scene
        if self._wandering and self._play() is not None:
            return self._idea
        aim = Aim(self._aim + self._grasp, self._aim + self._goal)
        waypoint = task.wrong_waypoint(scene, aim) if self._wrong else task.waypoint(scene, aim)
        if waypoint is None:
            return None
        if self._stage in ('grasp', 'lift') and waypoint.stage == 'reach':
            self._grasp = self._level(self._skill.grasp_error_m)  # missed: look again
        self._stage = waypoint.stage
        if self._release_at is not None and waypoint.stage == 'carry':
            waypoint = self._let_go(waypoint)
        return waypoint

    def pace(self) -> float:
        """Share of full speed, now."""
        return self._pace * (0.25 if self._slow_ticks > 0 else 1.0)

    def joint_error(self) -> Array:
        """Error of the arm joints' goals, (14,) rad."""
        return self._joint

    def _play(self) -> Waypoint | None:
        """A new idea every second or so: somewhere over the table, or (None) some of the task itself."""
        self._idea_ticks -= 1
        if self._idea_ticks > 0:
            return self._idea
        rng = self._rng
        self._idea_ticks = int(rng.integers(20, 60))
        self._idea = None
        if rng.random() < 0.6:
            side = SIDES[int(rng.integers(2))]
            low, high = np.array([0.82, -0.05, 0.90]), np.array([0.98, 0.35, 1.05])
            place = rng.uniform(low, high) * np.array([1.0, 1.0 if side == 'l' else -1.0, 1.0])
            axes = grasp_axes(side, GRASP_TILT_RAD, rng.uniform(-0.5, 0.5))
            goal = HandGoal(place, axes, float(rng.integers(2)))
            self._idea = Waypoint('play', {side: goal})
        return self._idea

    def _level(self, error_m: float) -> Array:
        spread = error_m * self._scale * np.array([1.0, 1.0, 0.3])
        return np.asarray(self._rng.normal(size=3) * spread)

    def _drift(self) -> None:
        skill, keep = self._skill, np.exp(-1 / _WANDER_TICKS)
        kick = np.sqrt(1 - keep**2)
        self._aim = keep * self._aim + kick * self._scale * skill.aim_noise_m * self._rng.normal(
            size=3
        )
        self._joint = keep * self._joint + kick * skill.joint_noise_rad * self._rng.normal(size=14)
        self._slow_ticks -= 1
        mean_spell = 12
        if self._slow_ticks <= 0 and self._rng.random() < skill.hesitation / mean_spell:
            self._slow_ticks = mean_spell

    def _let_go(self, waypoint: Waypoint) -> Waypoint:
        """Open the hand once the share of the way at which this episode's slip happens is behind."""
        for side, hand in waypoint.hands.items():
            left = float(np.linalg.norm((hand.position - self._world.scene.tcp(side))[:2]))
            if left < 0.2 * (self._release_at or 0.0):
                return Waypoint('carry', {side: replace(hand, gripper=0.0)})
        return waypoint
