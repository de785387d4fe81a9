"""Whether weights are being swapped, as far as the robot's policy has said: no episode starts meanwhile.

Weights that were loaded during an episode wait for its end. Then they are put in use, which takes a first
inference; an episode that began in between would begin with a policy that does not answer yet.
"""

from __future__ import annotations

import math


class WeightsSwap:
    """Times are the wall clock's, s: it is processes that are waited for."""

    def __init__(self, timeout_s: float) -> None:
        """Wait at most `timeout_s`, once for each version: a policy that has died swaps nothing."""
        self._timeout_s = timeout_s
        self._since_s = -math.inf
        self.active = 0
        """Version in use; 0 = none."""
        self.standby = 0
        """Version loaded and not in use yet; 0 = none."""
        self.given_up = 0
        """Version in standby that was waited for in vain, and is not any more; 0 = none."""

    def loaded(self, version: int, now_s: float) -> None:
        """The policy has loaded a version."""
        self.standby = version
        self.given_up = 0
        self._since_s = now_s

    def in_use(self, version: int) -> None:
        """The policy has run a version, and plans with it."""
        self.active = version
        if version >= self.standby:
            self.standby = self.given_up = 0

    def gone_back_from(self, version: int) -> None:
        """The policy has given a version up."""
        if version == self.standby:
            self.standby = self.given_up = 0

    def episode_ended(self, now_s: float) -> None:
        """From now on a version that waited is swapped in."""
        self._since_s = now_s

    def under_way(self, now_s: float) -> int:
        """Between episodes: the version that is being swapped in; 0 = none, or given up waiting."""
        if now_s - self._since_s >= self._timeout_s:
            self.given_up = self.standby
        return 0 if self.given_up else self.standby
