"""A terminal's keyboard as a jog device.

A terminal tells of presses, never of releases: a key that is held repeats. So every key has an end: motion stops
`tap_s` after the last repeat, and the deadman is released `hold_s` after the last key. A pure state machine; `now_s`
is a steady wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lwd_policy_node.episode import Outcome
from lwd_policy_node.teleop.jog import SIDES, JogWish

LINEAR = {
    'w': (1.0, 0.0, 0.0), 's': (-1.0, 0.0, 0.0),
    'a': (0.0, 1.0, 0.0), 'd': (0.0, -1.0, 0.0),
    'r': (0.0, 0.0, 1.0), 'f': (0.0, 0.0, -1.0),
}  # fmt: skip
ANGULAR = {
    'j': (-1.0, 0.0, 0.0), 'l': (1.0, 0.0, 0.0),
    'i': (0.0, 1.0, 0.0), 'k': (0.0, -1.0, 0.0),
    'u': (0.0, 0.0, 1.0), 'o': (0.0, 0.0, -1.0),
}  # fmt: skip
GRIPPER = {'c': 1.0, 'v': -1.0}
SELECT = {'1': ('l',), '2': ('r',), '3': SIDES}
OUTCOMES = {'7': Outcome.SUCCESS, '8': Outcome.FAILURE, '9': Outcome.ABORTED}
HELP = """\
 SPACE take over (hold it, or keep jogging)    ENTER hand back
 w/s forward, back    a/d left, right    r/f up, down
 u/o yaw    i/k pitch    j/l roll    c/v close, open the gripper
 1 left hand    2 right hand    3 both    7 success    8 failure    9 abort"""

_MOTIONS = {*LINEAR, *ANGULAR, *GRIPPER}
_ESCAPE = '\x1b'


@dataclass(frozen=True, slots=True)
class KeyboardTimes:
    """How long a key counts, s."""

    tap_s: float = 0.12
    """A motion key moves the hand for this long; its repeats prolong it."""
    hold_s: float = 0.8
    """The deadman is released this long after the last key: longer than terminals wait before the first repeat."""


class Keyboard:
    """Wishes of one terminal."""

    def __init__(self, times: KeyboardTimes | None = None) -> None:
        """The right hand is selected at first."""
        self._times = times or KeyboardTimes()
        self._engaged_until_s = -np.inf
        self._seen_s: dict[str, float] = {}
        self._sides: tuple[str, ...] = ('r',)
        self._outcomes: list[Outcome] = []
        self._sequence = ''

    def feed(self, text: str, now_s: float) -> None:
        """Take what the terminal sent."""
        for character in text:
            if self._in_sequence(character):
                continue
            self._on_key(character, now_s)

    def wish(self, now_s: float) -> JogWish | None:
        """What the human wants now; None while the deadman is released."""
        if now_s > self._engaged_until_s:
            return None
        linear, angular, gripper = np.zeros(3), np.zeros(3), 0.0
        for key in _MOTIONS:
            if now_s > self._seen_s.get(key, -np.inf) + self._times.tap_s:
                continue
            linear = linear + LINEAR.get(key, (0.0, 0.0, 0.0))
            angular = angular + ANGULAR.get(key, (0.0, 0.0, 0.0))
            gripper += GRIPPER.get(key, 0.0)
        return JogWish(linear, angular, gripper, self._sides)

    def release(self) -> None:
        """Hand back now."""
        self._engaged_until_s = -np.inf

    def take_outcomes(self) -> list[Outcome]:
        """Episode ends asked for since the last call; a key that repeats counts once."""
        asked, self._outcomes = self._outcomes, []
        return asked

    def _on_key(self, key: str, now_s: float) -> None:
        repeated = now_s <= self._seen_s.get(key, -np.inf) + self._times.hold_s
        self._seen_s[key] = now_s
        engaged = now_s <= self._engaged_until_s
        if key == ' ' or (key in _MOTIONS and engaged):
            self._engaged_until_s = now_s + self._times.hold_s
        elif key in '\r\n':
            self.release()
        elif key in SELECT:
            self._sides = SELECT[key]
        elif key in OUTCOMES and not repeated:
            self._outcomes.append(OUTCOMES[key])

    def _in_sequence(self, character: str) -> bool:
        """Whether a character belongs to an arrow or function key, which mean nothing here."""
        if character == _ESCAPE:
            self._sequence = character
        elif self._sequence == _ESCAPE:
            self._sequence = self._sequence + character if character in '[O' else ''
        elif self._sequence:
            if '@' <= character <= '~':
                self._sequence = ''
        else:
            return False
        return True
