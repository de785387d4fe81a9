"""Processes that the fault suite kills: a recorder with its real threads and files, and an uploader.

They are started from a fork server that has everything imported (20 ms each), or with ``python -m fault_rig.victim
PLAN`` where a process of its own environment is needed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from lwd_recorder.delivery import Uploader, UploaderConfig
from lwd_recorder.recording import EpisodeEnd, EpisodeStart, Recorder, RecorderConfig
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import StoreOptions, open_store

from fault_rig import kill_point
from fault_rig.frames import ROBOT, TOPICS, episode_message, frame
from fault_rig.kill_point import KillPoint
from fault_rig.ledger import Ledger

PART_BYTES = 5 << 20
STEP_NS = 10_000_000
_START_NS = 5 * 10**9
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class RecordPlan:
    """What a recorder process does."""

    spool: str
    ledger: str
    promised: list[str]
    """Episodes of the ledger."""
    episodes: list[str]
    """Episodes that it records, back to back."""
    frames: int = 60
    """Of each episode."""
    image_bytes: int = 3000
    pace_s: float = 0.0005
    """Pause after each frame, s."""
    wall_clock: bool = False
    """The robot's clock is the wall clock, as on a real robot; else one of its own."""
    config: dict[str, Any] = field(default_factory=dict)
    """Of the RecorderConfig, besides what is quick."""
    log: str = ''
    """File for what it says; empty = beside the spool."""


@dataclass(frozen=True)
class UploadPlan:
    """What an uploader process does."""

    spool: str
    store: str
    workers: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    """Of the StoreOptions."""
    environment: dict[str, str] = field(
        default_factory=lambda: {k: v for k, v in os.environ.items() if k.startswith('AWS_')}
    )
    """Where S3 is: the fork server was started before that was known."""
    log: str = ''
    """File for what it says; empty = beside the spool."""


def record(plan: RecordPlan) -> None:
    """Recover the spool, record the episodes, wait for their end as far as the disk lets it, leave."""
    ledger = Ledger(Path(plan.ledger), plan.promised)
    ledger.watch()
    quick = {
        'flush_s': 0.05, 'sync_s': 0.03, 'max_file_s': 0.2, 'preroll_s': 0.0, 'postroll_s': 0.0,
        'postroll_wall_s': 0.01, 'postroll_wall_limit_s': 0.05, 'min_free_bytes': 0,
        'warn_free_bytes': 0, 'last_free_bytes': 0,
    }  # fmt: skip
    recorder = Recorder(plan.spool, TOPICS, RecorderConfig(**quick | plan.config))
    clock = _Clock(plan.wall_clock)
    found = recorder.start()
    closed: set[str] = set()
    failed = 0

    def look() -> None:
        nonlocal failed
        for notice in recorder.poll(clock.now_ns):
            failed += notice.level == 'error'
            print(notice.level, notice.text, flush=True)
            if notice.closed:
                ledger.note_closed(notice.closed)
                closed.add(notice.closed)

    for notice in found:
        print(notice.level, notice.text, flush=True)
    recorder.on_message(*frame('before', 0, clock.step(), 10), clock.now_ns, clock.now_ns)
    for episode_id in plan.episodes:
        _play(recorder, plan, episode_id, clock, look)
    give_up_s = time.monotonic() + _PATIENCE_S
    while not set(plan.episodes) <= closed and not failed:
        if time.monotonic() > give_up_s:
            raise TimeoutError(f'of {plan.episodes} only {closed} were closed')
        clock.step()
        look()
        time.sleep(0.002)
    for notice in recorder.shutdown():
        if notice.closed:
            ledger.note_closed(notice.closed)
    recorder.close()


def _play(recorder: Recorder, plan: RecordPlan, episode_id: str, clock: Any, look: Any) -> None:
    started_ns = clock.step()
    start = EpisodeStart(
        episode_id, ROBOT, 'restock', 'put the red can on the shelf', 'rollout', 7, started_ns,
        episode_message(episode_id, started_ns),
    )  # fmt: skip
    recorder.on_start(start, started_ns)
    for number in range(plan.frames):
        now_ns = clock.step()
        topic, data = frame(episode_id, number, now_ns, plan.image_bytes)
        recorder.on_message(topic, data, now_ns, now_ns)
        if number % 5 == 0:
            look()
        time.sleep(plan.pace_s)
    ended_ns = clock.step()
    data = episode_message(episode_id, started_ns, ended_ns)
    recorder.on_end(episode_id, EpisodeEnd(ended_ns, 'success', 'operator'), data, ended_ns)


class _Clock:
    def __init__(self, wall: bool) -> None:
        self._wall = wall
        self.now_ns = time.time_ns() if wall else _START_NS

    def step(self) -> int:
        self.now_ns = time.time_ns() if self._wall else self.now_ns + STEP_NS
        return self.now_ns


def upload(plan: UploadPlan) -> None:
    """Deliver until nothing waits."""
    os.environ.update(plan.environment)
    options = {'part_bytes': PART_BYTES, 'connect_timeout_s': 1.0, 'read_timeout_s': 5.0}
    store = open_store(plan.store, StoreOptions(**options | plan.options))
    uploader = Uploader(
        plan.spool,
        store,
        UploaderConfig(
            poll_s=0.01, backoff_min_s=0.02, backoff_max_s=0.2, concurrency=plan.workers,
            warn_free_bytes=0, min_free_bytes=0,
        ),
        lambda level, text: print(level, text, flush=True),
    )  # fmt: skip
    if plan.workers == 1:  # in this thread, where a kill point is armed
        spool = Spool(plan.spool)
        give_up_s = time.monotonic() + _PATIENCE_S
        while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
            if time.monotonic() > give_up_s:
                raise TimeoutError(f'{spool.entries()}: {uploader.totals.last_error}')
            uploader.run_once()
            time.sleep(0.01)
        spool.close()
        return
    uploader.run()


def start(plan: RecordPlan | UploadPlan, point: KillPoint | None = None) -> ForkServerProcess:
    """Start a process that follows a plan, and dies at a point."""
    process = _CONTEXT.Process(target=_run, args=(plan, point), daemon=True)
    process.start()
    return process


def finish(process: ForkServerProcess, timeout_s: float = 90.0) -> int:
    """Wait for a process; return its exit code, -9 after SIGKILL."""
    process.join(timeout_s)
    assert process.exitcode is not None, 'a process of the fault suite hangs'
    return int(process.exitcode)


def events(plan: RecordPlan | UploadPlan, steps: list[str], into: Path) -> dict[str, int]:
    """Follow a plan to its end; return how many events each step has."""
    process = _CONTEXT.Process(target=_count, args=(plan, steps, into), daemon=True)
    process.start()
    assert finish(process) == 0, f'the undisturbed run failed: {plan}'
    return dict(json.loads(into.read_text()))


def _follow(plan: RecordPlan | UploadPlan) -> None:
    if isinstance(plan, RecordPlan):
        record(plan)
    else:
        upload(plan)


def _run(plan: RecordPlan | UploadPlan, point: KillPoint | None) -> None:
    with Path(plan.log or f'{plan.spool}.log').open('a') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if point is not None:
        kill_point.arm(point)
    _follow(plan)


def _count(plan: RecordPlan | UploadPlan, steps: list[str], into: Path) -> None:
    counts = kill_point.count(steps)
    _follow(plan)
    sys.setprofile(None)
    into.write_text(json.dumps(counts))


def command(plan: RecordPlan | UploadPlan) -> list[str]:
    """Return the command line of a process that follows a plan."""
    kind = type(plan).__name__
    return [sys.executable, '-m', 'fault_rig.victim', kind, json.dumps(asdict(plan))]


_CONTEXT = get_context('forkserver')
_CONTEXT.set_forkserver_preload(['fault_rig.victim', 'lwd_recorder.store.s3'])

if __name__ == '__main__':
    _follow(
        {'RecordPlan': RecordPlan, 'UploadPlan': UploadPlan}[sys.argv[1]](
            **json.loads(sys.argv[2])
        )
    )
