"""Buttons of a sensor_msgs/Joy device: a deadman that is held, and presses that count once.

Used by the gamepad, and by the leader arm with a foot pedal. A pure state machine; `now_s` is a steady wall clock,
because whether a device still talks does not depend on how fast a simulated robot's clock runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class JoyButtons:
    """The deadman and the presses of one device.

    The deadman counts only after it was seen released once: a jammed button, or one held while the node starts, does
    not take the robot. A device that falls silent has released it.
    """

    def __init__(self, deadman: int, presses: Mapping[str, int], *, timeout_s: float) -> None:
        """Watch the button with index `deadman`, and those of `presses`, name -> index (-1: none)."""
        self._deadman = deadman
        self._presses = {name: index for name, index in presses.items() if index >= 0}
        self._timeout_s = timeout_s
        self._buttons: tuple[bool, ...] | None = None
        self._heard_s = 0.0
        self._armed = False
        self._pressed: list[str] = []

    def on_joy(self, buttons: Sequence[int], now_s: float) -> None:
        """Take the states of all buttons, as they arrive."""
        new = tuple(bool(button) for button in buttons)
        if self._buttons is not None:
            for name, index in self._presses.items():
                if _at(new, index) and not _at(self._buttons, index):
                    self._pressed.append(name)
        self._buttons = new
        self._heard_s = now_s
        if self._deadman < len(new) and not new[self._deadman]:
            self._armed = True

    def down(self, index: int, now_s: float) -> bool:
        """Whether a button is held now."""
        return self._fresh(now_s) and self._buttons is not None and _at(self._buttons, index)

    def held(self, now_s: float) -> bool:
        """Whether the deadman is held now."""
        return self._armed and self.down(self._deadman, now_s)

    def take_presses(self) -> list[str]:
        """Names pressed since the last call, in order; a button that stays down counts once."""
        pressed, self._pressed = self._pressed, []
        return pressed

    def refusal(self, now_s: float) -> str:
        """Why the deadman cannot give control at present; empty when it can."""
        if self._buttons is None:
            return 'no Joy message yet: does a Joy driver run in this namespace?'
        if not self._fresh(now_s):
            return f'Joy is silent for more than {self._timeout_s:g} s: is the device connected?'
        if self._deadman >= len(self._buttons):
            return (
                f'the deadman is button {self._deadman}, but this Joy has {len(self._buttons)} buttons: '
                'set joy_button_deadman'
            )
        return (
            ''
            if self._armed
            else 'release the deadman once: it is held since the device was found'
        )

    def _fresh(self, now_s: float) -> bool:
        return self._buttons is not None and now_s - self._heard_s <= self._timeout_s


def _at(buttons: Sequence[bool], index: int) -> bool:
    return 0 <= index < len(buttons) and buttons[index]
