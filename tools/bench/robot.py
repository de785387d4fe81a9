"""What the robot's runtime does in its worst moments: takeover and jitter under load, stale inputs, a stopped policy.

``BENCH_MINUTES`` (10) of the run under load. Every process is a real one and talks over DDS on this machine; the policy
is of the laptop's size with random weights. Load is one process per core that infers without end, beside policy_node.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lwd_policy_node.control import ArbiterConfig, Source
from lwd_policy_node.control.motion import EARLY
from lwd_policy_node.control.priority import SILENT_POLICY
from rich.console import Console

from tools.bench.figure import Figure
from tools.bench.runtime.latency import node_and_in_process_ms
from tools.bench.runtime.rig import Frame, Rig

ARBITER = 'lwd_policy_node.nodes.arbiter_node'
POLICY = 'lwd_policy_node.nodes.policy_node'
BODY = 'tools.bench.runtime.robot_process'
BURN = 'tools.bench.runtime.burn'
STOPS = 5  # times that each input is silenced
_console = Console(stderr=True)


def measure() -> list[Figure]:
    """All figures of the robot's runtime.

    Raises:
        ValueError: BENCH_MINUTES is no positive number.
        TimeoutError: a process did not do its part.
    """
    minutes = float(os.environ.get('BENCH_MINUTES', '10'))
    if not minutes > 0.0:
        raise ValueError(f'BENCH_MINUTES must be positive, not {minutes:g}')
    figures = []
    for part in (latency, stale, lambda: under_load(minutes)):
        figures += part()
        for figure in figures[-8:]:
            _console.print(f'{figure.name}: {figure.value:.3g} {figure.unit}')
    return figures


def latency() -> list[Figure]:
    """Observation to chunk on one core, and what the node adds to the inference."""
    with tempfile.TemporaryDirectory() as home, Rig(Path(home)) as rig:
        node_ms, here_ms = node_and_in_process_ms(rig)
    return [
        Figure('observation to chunk on one core', node_ms, 'ms', 100.0, 'lower'),
        Figure('policy_node over in-process inference', node_ms - here_ms, 'ms', 10.0, 'lower'),
    ]


def stale() -> list[Figure]:
    """From the moment that an input counts as stale to the first HOLD, in control periods; the worst of a few."""
    with tempfile.TemporaryDirectory() as home, Rig(Path(home)) as rig:
        rig.start_node(ARBITER)
        body, policy = rig.start_node(BODY), rig.start_node(POLICY)
        _begin(rig)
        period_s = rig.profile.control_period_s
        plan_s = min(rig.profile.horizon * period_s, ArbiterConfig().max_observation_age_s)
        states, cameras, human, stopped, killed, jumps = [], [], [], [], [], []
        for _ in range(STOPS):
            rig.wait_source(Source.POLICY)
            rig.spin(random.uniform(0.0, 0.3))
            body.send_signal(signal.SIGSTOP)
            held = rig.wait_source(Source.HOLD, 'stale_state')
            late_s = (held.stamp_ns - rig.state_ns) * 1e-9 - ArbiterConfig().joint_state_timeout_s
            states.append(late_s / period_s)
            body.send_signal(signal.SIGCONT)

            rig.wait_source(Source.POLICY)
            body.send_signal(signal.SIGUSR1)
            held = rig.wait_source(Source.HOLD, 'stale_chunk')
            last = rig.frames[next(i for i, f in enumerate(rig.frames) if f is held) - 1]
            observed_ns = last.stamp_ns - last.age_s * 1e9
            cameras.append(((held.stamp_ns - observed_ns) * 1e-9 - plan_s) / period_s)
            body.send_signal(signal.SIGUSR1)

            rig.wait_source(Source.POLICY)
            last_ns = _hold_deadman(rig, 0.3)
            held = rig.wait_source(Source.HOLD)
            late_s = (held.stamp_ns - last_ns) * 1e-9 - ArbiterConfig().teleop_timeout_s
            human.append(late_s / period_s)

            for number, found in ((signal.SIGSTOP, stopped), (signal.SIGKILL, killed)):
                held, late_s = _silence(rig, policy, number)
                found.append(late_s / period_s)
                jumps.append(_largest_jump(rig, held))
                policy.send_signal(signal.SIGCONT)
            rig.stop(policy)
            policy = rig.start_node(POLICY)
    unit = 'periods'
    return [
        Figure('joint_states stop: stale to HOLD', max(states), unit, 2.0, 'lower'),
        Figure('a camera stops: end of the last plan to HOLD', max(cameras), unit, 2.0, 'lower'),
        Figure('teleop falls silent: stale to HOLD', max(human), unit, 2.0, 'lower'),
        Figure('SIGSTOP of policy: signal to HOLD', max(stopped), unit, 2.0, 'lower'),
        Figure('SIGKILL of policy: signal to HOLD', max(killed), unit, 2.0, 'lower'),
        Figure('silent policy: change of speed at HOLD, share of the limit', max(jumps), '', 1.0, 'lower'),
    ]  # fmt: skip


def under_load(minutes: float) -> list[Figure]:
    """Takeovers and command intervals while inference takes every core."""
    with tempfile.TemporaryDirectory() as home, Rig(Path(home)) as rig:
        arbiter = rig.start_node(ARBITER)
        rig.start_node(BODY)
        rig.start_node(POLICY)
        _begin(rig)
        for _ in os.sched_getaffinity(0):
            rig.start(BURN, str(rig.checkpoint))
        rig.spin(10.0)  # until they have loaded
        rig.commands_ns.clear()
        rig.frames.clear()
        cpu_s, stolen_s, began_s = _cpu_s(arbiter.pid), _stolen_s(), time.monotonic()
        takeovers_ms, firsts_ns = _takeovers(rig, began_s + 60.0 * minutes)
        share = (_cpu_s(arbiter.pid) - cpu_s) / (time.monotonic() - began_s)
        period_ms = 1e3 * rig.profile.control_period_s
        intervals_ms = np.diff(rig.commands_ns) * 1e-6
        # A takeover's first command comes early by design; it is the last one before its frame.
        early = np.searchsorted(rig.commands_ns, firsts_ns) - 2
        asked = ~np.isin(np.arange(len(intervals_ms)), early) | (intervals_ms >= period_ms)
        intervals_ms = intervals_ms[asked]
    _console.print(
        f'the host gave {_stolen_s() - stolen_s:.2f} CPU s of this machine to others meanwhile'
    )
    jitter_ms = float(np.percentile(np.abs(intervals_ms - period_ms), 99))
    silent = [frame.reason == SILENT_POLICY for frame in rig.frames]
    held = float(sum(now and not before for before, now in itertools.pairwise([False, *silent])))
    missed = float((intervals_ms > 1.5 * period_ms).sum())
    when = f'in {minutes:g} min under load'
    jitter = f'command interval jitter, P99 {when} (takeovers come early and do not count)'
    count = f'{len(takeovers_ms)} takeovers {when}'
    takeover_ms = float(np.percentile(takeovers_ms, 99.9))
    return [
        Figure(f'deadman to first human command, P99.9 of {count}', takeover_ms, 'ms', period_ms, 'lower'),
        Figure(f'deadman to first human command, median of {count}', float(np.median(takeovers_ms)), 'ms',
               period_ms, 'lower'),
        Figure(jitter, jitter_ms, 'ms', 5.0, 'lower'),
        Figure(f'missed periods {when}', missed, 'periods', 0.0, 'lower'),
        Figure(f'holds for want of a heartbeat of the living policy {when}', held, '', 0.0, 'lower'),
        Figure('CPU of arbiter_node at 30 Hz', 100.0 * share, '% of a core', 10.0, 'lower'),
    ]  # fmt: skip


def _begin(rig: Rig) -> None:
    """Wait until the arbiter commands, then begin an episode and wait for the policy."""
    rig.wait('joint_command', lambda: len(rig.commands_ns) > 30)
    rig.episode('bench')
    rig.wait_source(Source.POLICY)


def _takeovers(rig: Rig, until_s: float) -> tuple[list[float], list[int]]:
    """Take over and hand back at random moments.

    Returns:
        ms from each first deadman to the first human frame; when that one went out, ns.
    """
    found, firsts_ns = [], []
    while time.monotonic() < until_s:
        rig.spin(random.uniform(0.2, 0.5))
        start = len(rig.frames)
        sent_ns = rig.teleop(True)
        _hold_deadman(rig, random.uniform(0.15, 0.3))
        rig.teleop(False)
        rig.wait('a human frame', lambda s=start: _first_human(rig.frames[s:]))
        first = _first_human(rig.frames[start:])
        if first is not None:
            found.append((first.out_ns - sent_ns) * 1e-6)
            firsts_ns.append(first.out_ns)
    return found, firsts_ns


def _first_human(frames: list[Frame]) -> Frame | None:
    return next((frame for frame in frames if frame.source == Source.HUMAN), None)


def _hold_deadman(rig: Rig, seconds: float) -> int:
    """Command at the control rate for so long; when the last one was sent, ns."""
    end_s = time.monotonic() + seconds
    while True:
        sent_ns = rig.teleop(True)
        rig.spin(rig.profile.control_period_s)
        if time.monotonic() >= end_s:
            return sent_ns


def _silence(rig: Rig, policy: Any, number: signal.Signals) -> tuple[Frame, float]:
    """Stop or kill the policy in mid-plan; the first frame of HOLD, and s from the signal to it."""
    while True:
        rig.wait_source(Source.POLICY)
        rig.spin(random.uniform(0.0, 0.3))
        if rig.frames[-1].source == Source.POLICY:
            break
    sent_ns = time.time_ns()
    policy.send_signal(number)
    held = rig.wait_source(Source.HOLD, SILENT_POLICY)
    return held, (held.stamp_ns - sent_ns) * 1e-9


def _largest_jump(rig: Rig, held: Frame) -> float:
    """Largest change of any joint's speed between two frames from just before `held` on, in its limit."""
    rig.spin(0.5)
    first = max(next(i for i, f in enumerate(rig.frames) if f is held) - 3, 0)
    period_s = rig.profile.control_period_s
    lasted_s = np.diff([frame.stamp_ns for frame in rig.frames[first:]])[:, None] * 1e-9
    lasted_s[lasted_s > EARLY * period_s] = period_s  # a tick before its time moves by its share
    speed = np.diff([frame.position for frame in rig.frames[first:]], axis=0) / lasted_s
    change = np.abs(np.diff(speed, axis=0)) / period_s
    return round(float((change / rig.profile.limits('acceleration')).max()), 3)


def _stolen_s() -> float:
    """CPU time that a virtual machine wanted and its host gave to others, so far: nobody in here can hurry then."""
    fields = Path('/proc/stat').read_text().split('\n', 1)[0].split()
    return int(fields[8]) / os.sysconf('SC_CLK_TCK')


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
