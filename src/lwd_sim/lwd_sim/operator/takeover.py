"""When a teleoperator takes over from a policy, and when they hand back.

Judged from geometry alone, so that it works on a shadow of the world in another process. Taking over too early
teaches the policy nothing and spoils its data; the patience is a knob.
"""

from __future__ import annotations

from dataclasses import dataclass

from lwd_sim.world import World


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a teleoperator watches before helping, and how much they do."""

    first_s: float = 2.0
    """Seconds without progress before the first take-over of an episode."""
    later_s: float = 1.2
    """The same for later ones: somebody who had to help once helps sooner."""
    progress_m: float = 0.03
    """How much nearer to the next waypoint counts as progress, m."""
    stages: int = 2
    """Stages to gain before handing back; success always hands back."""


class TakeoverMonitor:
    """Follows one episode at a time; call :meth:`start`, then :meth:`update` a few times a second."""

    def __init__(self, world: World, patience: Patience | None = None) -> None:
        """``world`` may be a shadow kept up to date with ``restore``."""
        self._world = world
        self._patience = patience or Patience()
        self.start(0.0)

    def start(self, now_s: float) -> None:
        """A new episode begins at ``now_s`` (any clock that runs like the robot's, s)."""
        self._best = float('inf')
        self._moved_s = now_s
        self._held = False
        self._goal_stages = 0
        self._spells = 0
        self.reason: str | None = None

    def update(self, now_s: float) -> str | None:
        """Look at the world: why the human should be in control now (stall, drop, safety, operator), or None."""
        task, scene = self._world.task, self._world.scene
        if task.success(scene):
            self.reason = None
            return None
        stages = task.stages_done(scene)
        if self.reason is not None:
            if stages >= self._goal_stages and not task.danger(scene):
                self._hand_back(now_s)
            return self.reason
        trouble = self._trouble(now_s)
        if trouble is not None:
            self.reason = trouble
            self._spells += 1
            self._goal_stages = stages + self._patience.stages
        return self.reason

    def _trouble(self, now_s: float) -> str | None:
        task, scene = self._world.task, self._world.scene
        if task.danger(scene):
            return 'safety'
        if task.holds_wrong(scene):
            return 'operator'
        held, before = task.held(scene), self._held
        self._held = held
        if before and not held and task.dropped(scene):
            return 'drop'
        left = task.distance_left(scene)
        if left < self._best - self._patience.progress_m:
            self._best, self._moved_s = left, now_s
        patience = self._patience.later_s if self._spells else self._patience.first_s
        return 'stall' if now_s - self._moved_s >= patience else None

    def _hand_back(self, now_s: float) -> None:
        self.reason = None
        self._best = float('inf')
        self._moved_s = now_s
        self._held = self._world.task.held(self._world.scene)
