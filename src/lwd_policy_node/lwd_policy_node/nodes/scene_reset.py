"""The handshake with the simulator before an episode: ask for a scene, wait until its first state comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.task import Future

from lwd_msgs.srv import ResetSim

SceneTick = tuple[str, int, int]
"""Task, seed, and control ticks since the simulator's reset."""


@dataclass(slots=True)
class PendingStart:
    """An episode that waits for its scene."""

    task: str
    instruction: str
    kind: str
    seed: int
    time_limit_s: float
    give_up_s: float  # monotonic
    done: Future  # of EpisodeRecord, or of the text why not
    reset: Future | None = None
    built: bool = False
    before: SceneTick | None = None
    """The last state of the scene that is being left; None once it is."""

    def is_scene(self, seen: SceneTick) -> bool:
        """Whether a state of the simulator belongs to the scene waited for.

        That may be one that was run already: its states tick on until the reset, and then begin again.
        """
        if self.before and seen[:2] == self.before[:2] and seen[2] > self.before[2]:
            self.before = seen
            return False
        self.before = None
        return self.built and seen[:2] == (self.task, self.seed)


class SceneReset:
    """The client of sim/reset."""

    def __init__(self, node: Node, fail: Callable[[str], None]) -> None:
        """Ask on behalf of `node`; `fail` is told why a scene was not built."""
        self._client = node.create_client(ResetSim, 'sim/reset')
        self._fail = fail
        self.pending: PendingStart | None = None
        """The episode that waits, if any."""

    def is_ready(self) -> bool:
        """Whether there is a simulator."""
        return bool(self._client.service_is_ready())

    def ask(self) -> None:
        """Ask for the scene of `pending`."""
        pending = self.pending
        assert pending is not None
        request = ResetSim.Request(task=pending.task, seed=pending.seed, shift='')
        pending.reset = self._client.call_async(request)
        pending.reset.add_done_callback(self._on_reply)

    def take(self) -> PendingStart | None:
        """The episode that waits, which does so no more."""
        pending, self.pending = self.pending, None
        if pending is not None and pending.reset is not None:
            self._client.remove_pending_request(pending.reset)
        return pending

    def is_overdue(self) -> bool:
        """Whether the simulator has taken too long."""
        return self.pending is not None and time.monotonic() >= self.pending.give_up_s

    def _on_reply(self, future: Future) -> None:
        pending = self.pending
        if pending is None or pending.reset is not future or future.cancelled():
            return
        reply = future.result()
        if reply is None or not reply.ok:
            self._fail(f'sim/reset: {reply.message if reply else "no reply"}')
            return
        pending.instruction = pending.instruction or reply.instruction
        pending.time_limit_s = pending.time_limit_s or reply.time_limit_s
        pending.built = True
