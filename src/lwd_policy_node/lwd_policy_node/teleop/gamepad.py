"""A gamepad as a jog device: axes and buttons of sensor_msgs/Joy to wishes.

The default indices are those of `game_controller_node` (package joy), which gives every pad that SDL knows one order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwd_policy_node.episode import Outcome
from lwd_policy_node.teleop.jog import SIDES, JogWish
from lwd_policy_node.teleop.joy_buttons import JoyButtons

OUTCOMES = {
    'success': Outcome.SUCCESS,
    'failure': Outcome.FAILURE,
    'abort': Outcome.ABORTED,
}
_SELECT = {'left': ('l',), 'right': ('r',), 'both': SIDES}


@dataclass(frozen=True, slots=True)
class GamepadMap:
    """Indices into Joy's axes and buttons; -1 = none."""

    axis_forward: int = 1
    axis_left: int = 0
    axis_up: int = 3
    axis_yaw: int = 2
    button_rotate: int = 10
    button_close: int = 0
    button_open: int = 1
    button_left: int = 13
    button_right: int = 14
    button_both: int = 11
    deadzone: float = 0.1
    """An axis nearer to its middle than this share is at rest."""


class Gamepad:
    """Wishes of one pad. `now_s` is a steady wall clock."""

    def __init__(
        self, layout: GamepadMap, *, deadman: int, outcomes: dict[str, int], timeout_s: float
    ) -> None:
        """Map by `layout`; `outcomes` gives the buttons that end an episode, name (of `OUTCOMES`) -> index."""
        self._map = layout
        select = {
            'left': layout.button_left,
            'right': layout.button_right,
            'both': layout.button_both,
        }
        self._buttons = JoyButtons(deadman, {**select, **outcomes}, timeout_s=timeout_s)
        self._axes: tuple[float, ...] = ()
        self._sides: Sequence[str] = ('r',)
        self._outcomes: list[Outcome] = []

    def on_joy(self, axes: Sequence[float], buttons: Sequence[int], now_s: float) -> None:
        """Take one message's axes (-1 .. 1; left and up positive) and buttons."""
        self._axes = tuple(float(axis) for axis in axes)
        self._buttons.on_joy(buttons, now_s)
        for name in self._buttons.take_presses():
            if name in _SELECT:
                self._sides = _SELECT[name]
            else:
                self._outcomes.append(OUTCOMES[name])

    def wish(self, now_s: float) -> JogWish | None:
        """What the human wants now; None while the deadman is released or the pad is silent."""
        if not self._buttons.held(now_s):
            return None
        layout = self._map
        forward, left = self._axis(layout.axis_forward), self._axis(layout.axis_left)
        up, yaw = self._axis(layout.axis_up), self._axis(layout.axis_yaw)
        closing = self._buttons.down(layout.button_close, now_s)
        opening = self._buttons.down(layout.button_open, now_s)
        gripper = float(closing) - float(opening)
        if self._buttons.down(layout.button_rotate, now_s):
            # The left stick tips the hand the way it is pushed; the right one still lifts and yaws.
            return JogWish(
                np.array([0.0, 0.0, up]), np.array([-left, forward, yaw]), gripper, self._sides
            )
        return JogWish(
            np.array([forward, left, up]), np.array([0.0, 0.0, yaw]), gripper, self._sides
        )

    def take_outcomes(self) -> list[Outcome]:
        """Episode ends asked for since the last call."""
        asked, self._outcomes = self._outcomes, []
        return asked

    def refusal(self, now_s: float) -> str:
        """Why the deadman cannot give control at present; empty when it can."""
        return self._buttons.refusal(now_s)

    def _axis(self, index: int) -> float:
        if not 0 <= index < len(self._axes) or not math.isfinite(self._axes[index]):
            return 0.0
        value = max(-1.0, min(1.0, self._axes[index]))
        beyond = max(0.0, abs(value) - self._map.deadzone) / (1.0 - self._map.deadzone)
        return math.copysign(beyond, value)
