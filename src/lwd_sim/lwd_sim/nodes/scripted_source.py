"""The scripted operator at the teleoperation device: teleop source ``scripted`` of ``teleop_node``.

It watches the simulator's truth, which no policy sees, on a shadow of the world that never steps. While the policy
acts it only looks a few times a second whether things go well; when they do not, it holds the deadman and works from
the last executed targets, through the same topic as a human, until the rescue is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.parameters import Parameter, declare
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.qos import EPISODE_READER
from lwd_policy_node.profile import load_profile
from rclpy.node import Node

from lwd_msgs.msg import Episode, SimState
from lwd_sim.operator import Operator, Patience, Skill, TakeoverMonitor
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.world import World

_DEFAULTS = Patience()
PARAMETERS = (
    Parameter(
        'operator_patience_s',
        float,
        _DEFAULTS.first_s,
        'Time without progress before the scripted operator first takes over in an episode, s.',
        0.0,
        3600.0,
    ),
    Parameter(
        'operator_patience_later_s',
        float,
        _DEFAULTS.later_s,
        'The same after it has helped once, s.',
        0.0,
        3600.0,
    ),
    Parameter(
        'operator_stages',
        int,
        _DEFAULTS.stages,
        'Stages of the task to gain before the scripted operator hands back.',
        1,
        100,
    ),
    Parameter(
        'operator_watch_hz',
        float,
        10.0,
        'How often the scripted operator looks while the policy acts, Hz of the robot clock.',
        0.1,
        1000.0,
    ),
    Parameter(
        'shift',
        str,
        '',
        "Randomisation level of the simulator's scenes. Empty: the scripted operator tells it from sim/state, where it "
        'shows; where it does not (cocktail) it cannot help.',
        choices=('', *SHIFTS),
    ),
)
_SAME_LABEL_M = 1e-4
_LOST_TARGET_RAD = (
    0.3  # further than this from what was executed, the operator starts again from there
)


class ScriptedOperatorSource:
    """Implements ``lwd_policy_node.teleop.TeleopSource``."""

    def __init__(self, node: Node) -> None:
        """Subscribe to sim/state and episode on ``node``, whose ``profile`` parameter names the robot."""
        values = declare(node, PARAMETERS)
        self._node = node
        self._level = values['shift']
        self._profile = load_profile(node.get_parameter('profile').value)
        self._world = World(self._profile, render=False)
        self._patience = Patience(
            first_s=values['operator_patience_s'],
            later_s=values['operator_patience_later_s'],
            stages=values['operator_stages'],
        )
        self._watch_period_s = 1.0 / values['operator_watch_hz']
        self._watched_s = -np.inf
        self._monitor: TakeoverMonitor | None = None
        self._operator: Operator | None = None
        self._state: SimState | None = None
        self._scene: tuple[str, int, Shift] | None = None
        self._episode: Episode | None = None
        self._watching = ''  # the episode that the monitor follows
        self._reason: str | None = None
        self._inputs = PolledInputs(node)
        self._inputs.add(Episode, 'episode', self._on_episode, EPISODE_READER)
        self._inputs.add(SimState, 'sim/state', self._on_state, qos.SIM_STATE)

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """Joint targets (16,) and the reason while the operator is in control, else None."""
        self._inputs.poll()
        state, episode = self._state, self._episode
        running = episode is not None and episode.state == Episode.RUNNING
        if (
            not running
            or state is None
            or (state.task, state.seed) != (episode.task, episode.seed)
        ):
            self._reason = None
            return None
        if self._reason is None and now_s - self._watched_s < self._watch_period_s:
            return None
        self._watched_s = now_s
        if not self._shadow(state):
            return None
        monitor, operator = self._monitor, self._operator
        assert monitor is not None and operator is not None
        if self._watching != episode.episode_id:
            self._watching = episode.episode_id
            monitor.start(now_s)
        before, self._reason = self._reason, monitor.update(now_s)
        if self._reason is None:
            return None
        if before is None or operator.off_by() > _LOST_TARGET_RAD:
            operator.start()
        return operator.act(), self._reason

    def _on_episode(self, message: Episode) -> None:
        self._episode = message

    def _on_state(self, message: SimState) -> None:
        self._state = message

    def _shadow(self, state: SimState) -> bool:
        """Bring the shadow world to the simulator's state; False if it cannot be the same scene."""
        if (
            self._scene is not None
            and self._scene[:2] == (state.task, state.seed)
            and self._fits(self._scene[2], state)
        ):
            return True
        levels = self._levels(state)
        if self._level not in levels and len(levels) != 1:
            self._scene = None
            remedy = (
                f'its levels {", ".join(levels)} cannot be told apart: give the one of sim_node, -p shift:={levels[-1]}'
                if levels
                else 'no level has the labels of sim/state: do simulator and operator run the same lwd_sim?'
            )
            self._node.get_logger().warning(
                f'the operator cannot help with task {state.task!r}, seed {state.seed}: {remedy}',
                throttle_duration_sec=10.0,
            )
            return False
        level = self._level if self._level in levels else levels[0]
        self._scene = state.task, state.seed, level
        if self._operator is None:
            self._operator = Operator(self._world, Skill.expert())
            self._monitor = TakeoverMonitor(self._world, self._patience)
        return self._fits(level, state)

    def _levels(self, state: SimState) -> list[Shift]:
        """The randomisation level is not on the wire: those whose labels are the message's. Cocktail's show nothing."""
        try:
            return [shift for shift in SHIFTS if self._fits(shift, state)]
        except (KeyError, ValueError):  # no such task, or another model of it
            return []

    def _fits(self, shift: Shift, state: SimState) -> bool:
        """Set the shadow to the state at this level; whether its labels are those of the message."""
        self._world.restore(state.task, state.seed, shift, state.qpos, state.qvel, state.ctrl)
        return _same(self._world.label(), state.label)


def _same(label: npt.NDArray[np.float32], other: Any) -> bool:
    theirs = np.asarray(other, dtype=np.float32)
    return theirs.shape == label.shape and bool(np.abs(theirs - label).max() < _SAME_LABEL_M)
