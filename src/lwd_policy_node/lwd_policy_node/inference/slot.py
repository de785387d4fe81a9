"""The policy in use and the one that waits: weights change only between episodes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from lwd_policy_node.weights.checks import LoadedPolicy
from lwd_policy_node.weights.manifest import Manifest


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """A policy that passed every check."""

    policy: LoadedPolicy
    manifest: Manifest
    transport: str = ''  # service or uri; empty: from this robot's disk
    transfer_s: float = 0.0
    instruction: str = ''  # one that the file carries the embedding of, to try the weights with


class PolicySlot:
    """Active and standby weights; a swap is one assignment. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: LoadedWeights | None = None
        self._standby: LoadedWeights | None = None
        self._episode_runs = False

    @property
    def active(self) -> LoadedWeights | None:
        """Return the weights in use, or None."""
        with self._lock:
            return self._active

    @property
    def standby(self) -> LoadedWeights | None:
        """Return the weights that wait for the episode to end, or None."""
        with self._lock:
            return self._standby

    @property
    def newest_version(self) -> int:
        """Return the newest version in use or waiting; 0 = none."""
        with self._lock:
            held = (self._active, self._standby)
            return max((w.manifest.version for w in held if w is not None), default=0)

    def offer(self, weights: LoadedWeights) -> LoadedWeights | None:
        """Put weights in standby, in place of any there; return them if they became active."""
        with self._lock:
            self._standby = weights
            if self._episode_runs and self._active is not None:
                return None
            return self._swap()

    def episode(self, runs: bool, boundary: bool) -> LoadedWeights | None:
        """Note whether an episode runs; at a boundary swap. Return weights that became active.

        Args:
            runs: an episode runs from now on.
            boundary: an episode ended, or another one begins, with this change.
        """
        with self._lock:
            self._episode_runs = runs
            return self._swap() if boundary or not runs else None

    def replace_active(self, weights: LoadedWeights | None) -> None:
        """Put other weights in use at once: going back after the active ones failed."""
        with self._lock:
            self._active = weights

    def _swap(self) -> LoadedWeights | None:
        if self._standby is None:
            return None
        self._active, self._standby = self._standby, None
        return self._active
