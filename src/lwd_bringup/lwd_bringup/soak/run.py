"""Runs a soak: starts everything, lets faults happen, starts again what died, and settles the account."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lwd_learner.child_process import Process
from lwd_learner.replay import Replay, ReplayConfig
from lwd_policy_node.weights import ensure_key_pair
from lwd_recorder.store.loopback import LoopbackS3

from lwd_bringup.demo.home import Home
from lwd_bringup.soak.account import Account, settle
from lwd_bringup.soak.faults import Fault, PlannedFault, schedule
from lwd_bringup.soak.options import BUCKET, SoakOptions
from lwd_bringup.soak.watch import Watch

LOOK_S = 0.1
SAMPLE_S = 5.0
RESPAWN_S = 0.5  # as in the launch files
CUT_S = 15.0
START_S = 120.0  # for everything to be heard of
SETTLE_S = 45.0  # for the last episodes to arrive
STOP_S = 10.0
EXTRA_S = 120.0  # a soak takes no longer than its minutes and this: a slow start shortens the load
RECOVERY_LIMIT_S = 60.0


@dataclass(slots=True)
class Records:
    """What was measured while it ran."""

    began_wall_s: float = 0.0
    """Wall clock when the load began, s."""
    loaded_s: float = 0.0
    """Time under load, s."""
    faults: list[dict[str, object]] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """MB of all processes of a kind, by seconds under load."""
    cut_off: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Spells of each robot without a connection, wall clock, s."""
    unrecorded: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Spells of each robot without a recorder, wall clock, s."""
    unasked: list[str] = field(default_factory=list)
    """Processes that died without a fault."""


class Soak:
    """One run; use it in `with`."""

    def __init__(
        self, options: SoakOptions, home: Home, domain_id: int, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._say = say
        self._made_s = time.monotonic()
        self.home = home.path
        for name in ('orders', 'announced'):
            (self.home / name).mkdir()
        ensure_key_pair(self.home / 'keys')
        self.records = Records()
        self._store = LoopbackS3(home.store, BUCKET)
        self._environment = {
            **os.environ,
            **self._store.environment,
            'ROS_DOMAIN_ID': str(domain_id),
            'LWD_HOME': str(self.home),
            'OMP_NUM_THREADS': '1',
        }
        self._commands: dict[str, list[str]] = {}
        self._running: dict[str, Process] = {}
        self._dead_since_s: dict[str, float] = {}
        self._awaited: dict[str, tuple[float, dict[str, object]]] = {}
        self._watch = Watch(domain_id)

    def __enter__(self) -> Soak:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.send(signal.SIGCONT)
            process.send(signal.SIGINT)
        for process in self._running.values():
            process.stop()
        self._watch.close()

    def start(self, bag: Path) -> None:
        """Start every process and wait until all have been heard.

        Raises:
            TimeoutError: one was not.
        """
        options, python = self._options, sys.executable
        self._launch('store', self._store.command())
        self._store.make_bucket()
        journal, replay = self.home / 'train' / 'ingest.jsonl', self.home / 'train' / 'replay'
        self._launch('ingest', [
            python, '-m', 'lwd_learner.ingest.command', '--store', self._store.uri, '--replay', str(replay),
            '--journal', str(journal), '--follow', '--json',
        ])  # fmt: skip
        robots = options.robot_ids()
        # Robots have computers of their own; here they give way to the server's side.
        python_on_robot = ['nice', '-n', '5', python]
        # First of all, and at rest: on one host DDS takes a new participant only to the first 32, so whom everybody
        # has to find must be among those.
        rest = self.home / 'orders' / 'rest'
        rest.touch()
        for index in range(0, len(robots), options.robots_per_process):
            some = robots[index : index + options.robots_per_process]
            self._launch(f'robots {some[0]}', [
                *python_on_robot, '-m', 'lwd_bringup.soak.robots_process', str(self.home), str(bag),
                str(options.rate_hz), str(options.episode_s), str(options.seed), *some,
            ])  # fmt: skip
        self._wait_heard('robots', [f'robot {robot}' for robot in robots])
        self._launch('learner', [
            python, '-m', 'lwd_bringup.soak.learner_process', str(self.home), str(options.publish_every_s),
            str(options.megabytes),
        ])  # fmt: skip
        for robot in robots:
            self._launch(f'recorder {robot}', [
                *python_on_robot, '-m', 'lwd_recorder.nodes.recorder_node', '--ros-args', '-r', f'__ns:=/{robot}',
            ])  # fmt: skip
        heard = ['learner', *(f'recorder {robot}' for robot in robots)]
        self._wait_heard('recorders and the learner', heard)
        for robot in robots:
            self._launch(f'uploader {robot}', [
                *python_on_robot, '-m', 'lwd_recorder.nodes.uploader_node', '--ros-args', '-r', f'__ns:=/{robot}',
                '-p', f'store:={self._store.uri}', '-p', 'backoff_max_s:=5.0',
            ])  # fmt: skip
        self._wait_heard('uploaders', [f'uploader {robot}' for robot in robots])
        rest.unlink()

    def run(self) -> None:
        """Let time pass and faults happen."""
        options = self._options
        began_s, self.records.began_wall_s = time.monotonic(), time.time()
        longest_s = 60.0 * options.minutes + EXTRA_S - SETTLE_S - STOP_S - (began_s - self._made_s)
        duration_s = min(60.0 * options.minutes, longest_s)
        faults = schedule(options.seed, duration_s, options.fault_every_s, options.robot_ids())
        sample_s = 0.0
        while (now_s := time.monotonic() - began_s) < duration_s:
            if faults and now_s >= faults[0].at_s:
                self._strike(faults.pop(0), now_s)
            if now_s >= sample_s:
                sample_s = now_s + SAMPLE_S
                self._sample(now_s)
            self._tend()
            time.sleep(LOOK_S)
        self.records.loaded_s = now_s

    def settle(self) -> Account:
        """Let the robots rest, wait until all episodes have arrived, and compare."""
        (self.home / 'orders' / 'rest').touch()
        deadline_s = time.monotonic() + SETTLE_S
        account = self._account()
        while time.monotonic() < deadline_s:
            self._tend()
            time.sleep(1.0)
            account = self._account()
            quiet = not account.lost and account.announced == account.ended + account.interrupted
            if quiet and not self._awaited:
                break
        return account

    def _account(self) -> Account:
        only_names = ReplayConfig(jpeg_cache_bytes=0, low_dimensional_bytes=0, index_rows=False)
        replay = Replay.open(self.home / 'train' / 'replay', config=only_names)
        ids = [episode.episode_id for episode in replay.episodes('online')]
        return settle(self.home, ids, self.records.cut_off, self.records.unrecorded)

    def _launch(self, name: str, command: list[str]) -> None:
        self._commands[name] = command
        log = self.home / 'logs' / f'{name.replace(" ", "-")}.log'
        self._running[name] = Process(name, command, log, self._environment)

    def _strike(self, planned: PlannedFault, now_s: float) -> None:
        self._say(f'{now_s:6.0f} s  {planned.fault} ({planned.robot})')
        fault, robot = planned.fault, planned.robot
        entry: dict[str, object] = {'at_s': round(now_s, 1), 'fault': str(fault), 'robot': robot}
        self.records.faults.append(entry)
        killed = {
            Fault.RECORDER: f'recorder {robot}', Fault.UPLOADER: f'uploader {robot}', Fault.INGEST: 'ingest',
            Fault.LEARNER: 'learner', Fault.STORE: 'store',
        }.get(fault)  # fmt: skip
        if killed is not None:
            process = self._running[killed]
            if killed in self._awaited:  # not back since the last time: that stands as it is
                _, earlier = self._awaited[killed]
                earlier['back_s'] = None
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5.0)
            self._awaited[killed] = time.monotonic(), entry
            if fault is Fault.RECORDER:
                now = time.time()
                self.records.unrecorded[robot].append((now, now + RECOVERY_LIMIT_S))
        elif fault is Fault.CUT_OFF:
            self._cut_off(robot)
        else:
            (self.home / 'orders' / str(fault)).touch()

    def _cut_off(self, robot: str) -> None:
        """No weights, no status, no upload for a while."""
        (self.home / 'orders' / f'cut-{robot}').touch()
        self._running[f'uploader {robot}'].send(signal.SIGSTOP)
        now = time.time()
        self.records.cut_off[robot].append((now, now + CUT_S + 5.0))

    def _tend(self) -> None:
        """Start again what has died, plug in what was cut off, note what is back."""
        now_s = time.monotonic()
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            since_s = self._dead_since_s.setdefault(name, now_s)
            if name not in self._awaited and since_s == now_s:
                self.records.unasked.append(f'{name} ended with {process.poll()}')
            if now_s - since_s >= RESPAWN_S:
                del self._dead_since_s[name]
                self._launch(name, self._commands[name])
        for robot, spells in self.records.cut_off.items():
            if spells and time.time() >= spells[-1][0] + CUT_S and not self._plugged(robot):
                (self.home / 'orders' / f'plug-{robot}').touch()
                self._running[f'uploader {robot}'].send(signal.SIGCONT)
        for name, (killed_s, entry) in list(self._awaited.items()):
            if name not in self._dead_since_s and self._is_back(name, killed_s):
                entry['back_s'] = round(time.monotonic() - killed_s, 2)
                del self._awaited[name]
                if entry['fault'] == Fault.RECORDER:
                    spells = self.records.unrecorded[str(entry['robot'])]
                    spells[-1] = spells[-1][0], time.time()
            elif now_s - killed_s > RECOVERY_LIMIT_S:
                entry['back_s'] = None
                del self._awaited[name]

    def _plugged(self, robot: str) -> bool:
        order = f'plugged {robot} {len(self.records.cut_off[robot])}'
        already = order in self._commands
        self._commands.setdefault(order, [])
        return already

    def _is_back(self, name: str, killed_s: float) -> bool:
        if self._running[name].poll() is not None:
            return False
        if name == 'store':
            return not self._store.fault()
        if name == 'ingest':
            journal = self.home / 'train' / 'ingest.jsonl'
            age_s = time.time() - journal.stat().st_mtime if journal.is_file() else 1e9
            return age_s < time.monotonic() - killed_s - RESPAWN_S
        return self._watch.heard_s(name) > killed_s + RESPAWN_S

    def _sample(self, now_s: float) -> None:
        totals: dict[str, float] = defaultdict(float)
        pids = {name: process.pid for name, process in self._running.items()}
        for name, pid in {**pids, 'soak': os.getpid()}.items():
            try:
                pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
            except (OSError, IndexError):
                continue  # dead at the moment
            totals[name.partition(' ')[0]] += pages * os.sysconf('SC_PAGE_SIZE') / 1e6
        for kind, megabytes in totals.items():
            self.records.memory[kind].append((round(now_s, 1), round(megabytes, 1)))

    def _wait_heard(self, what: str, names: Sequence[str]) -> None:
        self._wait(what, START_S, lambda: all(map(self._watch.heard_s, names)))

    def _wait(self, what: str, limit_s: float, until: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + limit_s
        while not until():
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f'waited {limit_s:g} s for {what}; logs are in {self.home / "logs"}'
                )
            time.sleep(LOOK_S)
