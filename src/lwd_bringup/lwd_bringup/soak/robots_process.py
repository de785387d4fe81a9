"""Several light robots in one process.

``python -m lwd_bringup.soak.robots_process HOME BAG RATE_HZ EPISODE_S SEED ROBOT...``; an order is a file
HOME/orders/<cut|plug>-<robot>; HOME/orders/rest lets all of them come to rest.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import rclpy
from lwd_policy_node.stop_signal import StopSignal
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lwd_bringup.soak.frames import Frames
from lwd_bringup.soak.light_robot import ORDERS, LightRobot

SWITCH_S = 0.0005  # the thread that drives eight robots must not wait 5 ms for each of those that check weights


def main() -> int:
    """Run until a signal."""
    home, bag = Path(sys.argv[1]), Path(sys.argv[2])
    rate_hz, episode_s, seed = float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    stop = StopSignal()
    sys.setswitchinterval(SWITCH_S)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    robots: dict[str, LightRobot] = {}
    for index, name in enumerate(sys.argv[6:]):
        node = Node('robot', namespace=f'/{name}')
        transport = 'uri' if index % 2 else 'service'
        robots[name] = LightRobot(node, home, Frames.of_bag(bag), episode_s, seed, transport)
        executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    _drive(robots, home / 'orders', 1.0 / rate_hz, stop)
    executor.shutdown()
    rclpy.try_shutdown()
    return 0


def _drive(robots: dict[str, LightRobot], orders: Path, period_s: float, stop: StopSignal) -> None:
    """One control tick of all robots a period; a tick that comes late is not made up for."""
    due_s = time.monotonic()
    look_s = 0.0
    while not stop.is_set():
        now_s = time.monotonic()
        for robot in robots.values():
            robot.step(now_s)
        if now_s >= look_s:
            look_s = now_s + 0.5
            _obey(robots, orders)
        due_s = max(due_s + period_s, now_s)
        stop.wait(max(0.0, due_s - time.monotonic()))


def _obey(robots: dict[str, LightRobot], orders: Path) -> None:
    for name, robot in robots.items():
        for word, act in ORDERS.items():
            order = orders / f'{word}-{name}'
            if order.exists():
                order.unlink()
                act(robot)
        robot.resting = (orders / 'rest').exists()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


if __name__ == '__main__':
    sys.exit(main())
