"""The gamepad core as a state machine: deadman, silence, presses, axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from lwd_policy_node.episode import Outcome
from lwd_policy_node.teleop.gamepad import Gamepad, GamepadMap
from lwd_policy_node.teleop.joy_buttons import JoyButtons

DEADMAN, ROTATE, CLOSE, OPEN, SUCCESS, FAILURE, ABORT = 9, 10, 0, 1, 6, 4, 3
LEFT, RIGHT, BOTH = 13, 14, 11
REST = (0.0,) * 6


def buttons(*down: int) -> list[int]:
    return [int(index in down) for index in range(15)]


def make() -> Gamepad:
    outcomes = {'success': SUCCESS, 'failure': FAILURE, 'abort': ABORT}
    return Gamepad(GamepadMap(), deadman=DEADMAN, outcomes=outcomes, timeout_s=0.25)


def held(axes: Sequence[float] = REST, *down: int) -> Gamepad:
    """A pad whose deadman is held at 1 s, beside other buttons."""
    pad = make()
    pad.on_joy(REST, buttons(), 0.9)
    pad.on_joy(axes, buttons(DEADMAN, *down), 1.0)
    return pad


# (time, held buttons or None for no message) ..., then in control at the last time?, and what is said
CASES = {
    'nothing heard': ([(0.0, None)], False, 'no Joy message yet'),
    'released': ([(0.0, ())], False, ''),
    'pressed': ([(0.0, ()), (0.1, (DEADMAN,))], True, ''),
    'another button': ([(0.0, ()), (0.1, (ROTATE,))], False, ''),
    'released again': ([(0.0, ()), (0.1, (DEADMAN,)), (0.2, ())], False, ''),
    'held while the node starts': ([(0.0, (DEADMAN,))], False, 'release the deadman once'),
    'kept alive by repeats': (
        [(0.0, ()), (0.2, (DEADMAN,)), (0.4, (DEADMAN,)), (0.6, None)],
        True,
        '',
    ),
    'stale': ([(0.0, ()), (0.1, (DEADMAN,)), (0.36, None)], False, 'Joy is silent'),
    'back from silence, still held': ([(0.0, ()), (0.1, (DEADMAN,)), (2.0, (DEADMAN,))], True, ''),
    'back from silence, released': ([(0.0, ()), (0.1, (DEADMAN,)), (2.0, ())], False, ''),
}


@pytest.mark.parametrize(('events', 'control', 'said'), CASES.values(), ids=CASES.keys())
def test_deadman(
    events: list[tuple[float, tuple[int, ...] | None]], control: bool, said: str
) -> None:
    pad = make()
    for now_s, down in events:
        if down is not None:
            pad.on_joy(REST, buttons(*down), now_s)
    assert (pad.wish(now_s) is not None) == control
    assert pad.refusal(now_s).startswith(said) and bool(pad.refusal(now_s)) == bool(said)


def test_a_pad_without_the_deadmans_button_says_so() -> None:
    pad = make()
    pad.on_joy(REST, [1] * 8, 0.0)
    assert pad.wish(0.0) is None
    assert pad.refusal(0.0) == (
        'the deadman is button 9, but this Joy has 8 buttons: set joy_button_deadman'
    )


@pytest.mark.parametrize(
    ('axes', 'down', 'linear', 'angular', 'gripper'),
    [
        (REST, (), (0, 0, 0), (0, 0, 0), 0),
        ((0, 1, 0, 0), (), (1, 0, 0), (0, 0, 0), 0),
        ((1, 0, 0, 0), (), (0, 1, 0), (0, 0, 0), 0),
        ((0, 0, 0, -1), (), (0, 0, -1), (0, 0, 0), 0),
        ((0, 0, 1, 0), (), (0, 0, 0), (0, 0, 1), 0),
        ((0, 1, 0, 0), (ROTATE,), (0, 0, 0), (0, 1, 0), 0),
        ((1, 0, 1, 1), (ROTATE,), (0, 0, 1), (-1, 0, 1), 0),
        (REST, (CLOSE,), (0, 0, 0), (0, 0, 0), 1),
        (REST, (OPEN,), (0, 0, 0), (0, 0, 0), -1),
        (REST, (CLOSE, OPEN), (0, 0, 0), (0, 0, 0), 0),
        ((0.09, -0.09, 0.05, 0.1), (), (0, 0, 0), (0, 0, 0), 0),  # within the dead zone
        ((0, 0.55, 0, 0), (), (0.5, 0, 0), (0, 0, 0), 0),  # half of what lies beyond it
        ((0, 7.0, 0, 0), (), (1, 0, 0), (0, 0, 0), 0),  # out of range
        ((math.nan, math.inf, 0, 0), (), (0, 0, 0), (0, 0, 0), 0),
        ((0, 1), (), (1, 0, 0), (0, 0, 0), 0),  # a device with two axes
    ],
)  # fmt: skip
def test_axes_and_gripper(
    axes: tuple[float, ...],
    down: tuple[int, ...],
    linear: tuple[float, ...],
    angular: tuple[float, ...],
    gripper: float,
) -> None:
    wish = held(axes, *down).wish(1.0)
    assert wish is not None
    np.testing.assert_allclose(wish.linear, linear, atol=1e-12)
    np.testing.assert_allclose(wish.angular, angular, atol=1e-12)
    assert wish.gripper == gripper


def test_a_hand_is_selected_by_a_press_and_stays_selected() -> None:
    pad = held()
    for now_s, button, sides in (
        (1.1, LEFT, ('l',)),
        (1.2, BOTH, ('l', 'r')),
        (1.3, RIGHT, ('r',)),
    ):
        pad.on_joy(REST, buttons(DEADMAN, button), now_s)
        pad.on_joy(REST, buttons(DEADMAN), now_s)
        wish = pad.wish(now_s)
        assert wish is not None and tuple(wish.sides) == sides


def test_outcomes_count_once_a_press_with_or_without_the_deadman() -> None:
    """Also when pressed and released between two ticks; never when held since before the node started."""
    pad = make()
    pad.on_joy(REST, buttons(ABORT), 0.0)
    pad.on_joy(REST, buttons(ABORT), 0.1)
    assert pad.take_outcomes() == []
    pad.on_joy(REST, buttons(), 0.2)
    for _ in range(5):
        pad.on_joy(REST, buttons(SUCCESS), 0.3)
    assert pad.take_outcomes() == [Outcome.SUCCESS]
    pad.on_joy(REST, buttons(), 0.4)
    pad.on_joy(REST, buttons(FAILURE), 0.41)
    pad.on_joy(REST, buttons(), 0.42)
    pad.on_joy(REST, buttons(ABORT, DEADMAN), 0.43)
    assert pad.take_outcomes() == [Outcome.FAILURE, Outcome.ABORTED]
    assert pad.take_outcomes() == []


def test_buttons_that_are_not_there_are_never_pressed() -> None:
    joy = JoyButtons(0, {'none': -1, 'far': 40}, timeout_s=0.25)
    joy.on_joy([0, 0, 0], 0.0)
    joy.on_joy([1, 1, 1], 0.1)
    assert joy.take_presses() == [] and joy.held(0.1) and not joy.down(-1, 0.1)
