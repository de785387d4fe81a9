"""arbiter_node on simulated time: one command per tick of /clock, however fast it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import seconds, stamp_of
from lwd_policy_node.profile import load_profile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

pytestmark = pytest.mark.launch
PROFILE = load_profile('g1_laptop')
PERIOD_NS = round(1e9 / PROFILE.control_rate_hz)


def test_one_command_per_tick_of_the_clock(make_bench: Callable[..., Any]) -> None:
    """Lock-step with a clock many times faster than the wall, that once starts again from an
    earlier time; services are answered in between.
    """
    bench = make_bench(127, 'g1_01')
    clock_out = bench.node.create_publisher(Clock, '/clock', qos.reliable(1))
    state_out = bench.node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
    commands = bench.collect(JointTrajectory, 'joint_command', qos.reliable(10))
    bench.start('arbiter_node', profile='g1_laptop', use_sim_time='true')
    state = JointState(name=list(PROFILE.joint_names), position=PROFILE.home.tolist())
    bench.wait(
        'the arbiter',
        lambda: state_out.get_subscription_count() and clock_out.get_subscription_count(),
    )

    def tick(now_ns: int) -> Time:
        stamp = stamp_of(now_ns)
        state.header.stamp = stamp
        state_out.publish(state)
        clock_out.publish(Clock(clock=stamp))
        return stamp

    def answered(stamp: Time) -> bool:
        return bool(commands) and commands[-1].header.stamp == stamp

    now_ns = 1_000_000_000_000
    while not commands:  # until both sides have found each other
        now_ns += PERIOD_NS
        tick(now_ns)
        bench.executor.spin_once(timeout_sec=0.2)
    for start_ns in (now_ns, 5_000_000_000):
        now_ns = start_ns
        before = len(commands)
        for _ in range(60):
            now_ns += PERIOD_NS
            stamp = tick(now_ns)
            bench.wait(f'the command of {seconds(stamp)}', lambda s=stamp: answered(s), 5.0)
        stamps = [seconds(c.header.stamp) for c in commands[before:]]
        assert stamps == sorted(set(stamps)) and len(stamps) >= 60
    assert bench.call(Trigger, 'estop', Trigger.Request()).success
