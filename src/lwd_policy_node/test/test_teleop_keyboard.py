"""The keyboard core as a state machine, and the terminal it reads."""

from __future__ import annotations

import os
import pty
import termios

import numpy as np
import pytest
from lwd_policy_node.episode import Outcome
from lwd_policy_node.teleop import SourceError
from lwd_policy_node.teleop.keyboard import HELP, Keyboard
from lwd_policy_node.teleop.terminal import Terminal

# typed (time, text) ..., asked at, in control?, linear
CASES = {
    'nothing': ([], 0.0, False, None),
    'a motion key alone takes nothing': ([(0.0, 'w')], 0.01, False, None),
    'space takes over and stands still': ([(0.0, ' ')], 0.01, True, (0, 0, 0)),
    'space bridges the wait before the first repeat': ([(0.0, ' ')], 0.7, True, (0, 0, 0)),
    'no key any more': ([(0.0, ' ')], 0.81, False, None),
    'space repeats': ([(0.0, ' '), (0.6, ' '), (0.64, ' ')], 1.4, True, (0, 0, 0)),
    'a key moves while it is fresh': ([(0.0, ' '), (0.5, 'w')], 0.6, True, (1, 0, 0)),
    'and no longer': ([(0.0, ' '), (0.5, 'w')], 0.63, True, (0, 0, 0)),
    'repeats go on': ([(0.0, ' '), *((0.5 + 0.04 * i, 'a') for i in range(60))], 2.9, True, (0, 1, 0)),
    'a motion key prolongs control': ([(0.0, ' '), (0.7, 'f')], 1.4, True, (0, 0, 0)),
    'but does not win it back': ([(0.0, ' '), (0.9, 'f')], 0.91, False, None),
    'two keys add': ([(0.0, ' '), (0.5, 'wr')], 0.5, True, (1, 0, 1)),
    'enter hands back': ([(0.0, ' '), (0.1, '\n')], 0.11, False, None),
    'enter in raw terminals': ([(0.0, ' '), (0.1, '\r')], 0.11, False, None),
    'other keys do nothing': ([(0.0, ' '), (0.7, 'W%z')], 0.85, False, None),
    'arrow and function keys do nothing': ([(0.0, ' '), (0.1, '\x1b[C\x1bOd\x1b[1;5a')], 0.11, True, (0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize(
    ('typed', 'asked_s', 'control', 'linear'), CASES.values(), ids=CASES.keys()
)
def test_deadman_and_motion(
    typed: list[tuple[float, str]], asked_s: float, control: bool, linear: tuple[float, ...] | None
) -> None:
    keyboard = Keyboard()
    for now_s, text in typed:
        keyboard.feed(text, now_s)
    wish = keyboard.wish(asked_s)
    assert (wish is not None) == control
    if wish is not None:
        np.testing.assert_array_equal(wish.linear, linear)


def test_turning_gripper_and_selection() -> None:
    keyboard = Keyboard()
    keyboard.feed(' 1ujc', 0.0)
    wish = keyboard.wish(0.0)
    assert wish is not None
    np.testing.assert_array_equal(wish.angular, [-1.0, 0.0, 1.0])
    assert wish.gripper == 1.0 and tuple(wish.sides) == ('l',)
    keyboard.feed('3', 0.5)
    wish = keyboard.wish(0.5)
    assert wish is not None and tuple(wish.sides) == ('l', 'r') and wish.gripper == 0.0


def test_outcomes_count_once_while_the_key_repeats() -> None:
    """And a home key, whose sequence contains a digit, ends nothing."""
    keyboard = Keyboard()
    for now_s in (0.0, 0.6, 0.64, 0.68):
        keyboard.feed('7', now_s)
    keyboard.feed('\x1b[7~\x1b[', 1.0)
    keyboard.feed('8~', 1.1)  # a sequence in two pieces
    assert keyboard.take_outcomes() == [Outcome.SUCCESS]
    keyboard.feed('7', 2.0)
    keyboard.feed('89', 2.1)
    assert keyboard.take_outcomes() == [Outcome.SUCCESS, Outcome.FAILURE, Outcome.ABORTED]


def test_the_terminal_is_read_key_by_key_and_given_back() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    terminal = Terminal(slave)
    assert terminal.read() == ''
    os.write(master, b' w')  # no line end: a cooked terminal would keep it
    typed = ''
    while len(typed) < 2:
        typed += terminal.read()
    assert typed == ' w' and not terminal.closed
    terminal.restore()
    assert termios.tcgetattr(slave) == before
    terminal = Terminal(slave)
    os.close(master)
    assert terminal.read() == '' and terminal.closed
    terminal.restore()
    os.close(slave)


def test_what_is_no_terminal_is_refused() -> None:
    read, write = os.pipe()
    with pytest.raises(
        SourceError, match='run `ros2 run lwd_policy_node teleop_node` in a terminal'
    ):
        Terminal(read)
    os.close(read)
    os.close(write)


def test_the_help_fits_a_terminal() -> None:
    assert max(map(len, HELP.splitlines())) <= 80
