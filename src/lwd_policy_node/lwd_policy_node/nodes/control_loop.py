"""Call a function at a rate of the robot's clock, at a fraction of an executor's load.

An executor in Python rebuilds its whole wait set for every message of /clock and every timer: at
30 Hz and a clock faster than the wall, that is most of what a small node costs. This loop waits
for the next tick alone, on the wall or on /clock, and looks after services, timers and parameters
in between, `SERVICE_PERIOD_S` apart. Messages are read at the tick (`PolledInputs`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock

from lwd_policy_node.nodes.polling import NotWoken
from lwd_policy_node.nodes.process import Leaving
from lwd_policy_node.nodes.ready_callbacks import run_ready

SERVICE_PERIOD_S = 0.05  # wall clock
_CALLBACKS_PER_LOOK = 8  # most callbacks run between two ticks
_EARLY = 0.1  # of a period: a clock message this early is this tick's


class ControlLoop:
    """Ticks of one node."""

    def __init__(
        self,
        node: Node,
        period_s: float,
        tick: Callable[[], None],
        *,
        on_wall: bool = False,
        early: Callable[[], bool] | None = None,
    ) -> None:
        """Call `tick()` every `period_s` of `node`'s clock, once `run` is called.

        Args:
            node: whose clock it is.
            period_s: between two ticks.
            tick: the work.
            on_wall: tick on the wall whatever the node's clock.
            early: asked in the middle of a period of the wall; True makes that moment the tick.
        """
        self._node = node
        self._period_s = period_s
        self._period_ns = round(period_s * 1e9)
        self._tick = tick
        self._on_wall = on_wall
        self._early = early
        self._looked_s = 0.0

    def run(self, executor: Executor, leaving: Leaving) -> None:
        """Tick until the process is asked to leave; `executor` holds the node."""
        clock = self._clock_subscription()
        if clock is None:
            self._run_on_wall(executor, leaving)
        else:
            self._run_on_clock(executor, clock, leaving)

    def _run_on_wall(self, executor: Executor, leaving: Leaving) -> None:
        due_s = time.monotonic()
        while not leaving():
            if self._early is not None:
                _sleep_until(due_s - 0.5 * self._period_s)
                if self._early():
                    due_s = time.monotonic()
            _sleep_until(due_s)
            self._tick()
            # A late tick does not make the next ones hurry.
            due_s = max(due_s + self._period_s, time.monotonic())
            self._look_around(executor)

    def _run_on_clock(self, executor: Executor, clock: Subscription, leaving: Leaving) -> None:
        """Simulated time: /clock is read here, and handed to the node's own time source."""
        clock.callback_group = NotWoken()
        waiting = rclpy_implementation.WaitSet(1, 0, 0, 0, 0, 0, self._node.context.handle)
        last_ns = due_ns = 0
        while not leaving():
            with clock.handle:
                waiting.clear_entities()
                waiting.add_subscription(clock.handle)
                waiting.wait(round(SERVICE_PERIOD_S * 1e9))
                taken = clock.handle.take_message(Clock, False)
            if taken is not None:
                clock.callback(taken[0])
                now_ns = taken[0].clock.sec * 1_000_000_000 + taken[0].clock.nanosec
                if now_ns < last_ns:
                    due_ns = now_ns  # the clock stepped back
                last_ns = now_ns
                if now_ns >= due_ns - _EARLY * self._period_ns:
                    self._tick()
                    due_ns = max(due_ns, now_ns - self._period_ns) + self._period_ns
            self._look_around(executor)

    def _look_around(self, executor: Executor) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < SERVICE_PERIOD_S:
            return
        self._looked_s = now_s
        run_ready(executor, _CALLBACKS_PER_LOOK)

    def _clock_subscription(self) -> Subscription | None:
        """The node's own subscription of /clock; None when ticks come from the wall."""
        if self._on_wall or not self._node.get_parameter('use_sim_time').value:
            return None
        for subscription in self._node.subscriptions:
            if subscription.msg_type is Clock:
                return subscription
        return None


def _sleep_until(when_s: float) -> None:
    left_s = when_s - time.monotonic()
    if left_s > 0.0:
        time.sleep(left_s)
