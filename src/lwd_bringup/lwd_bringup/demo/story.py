"""The demo from beginning to end: demonstrations, SFT, offline RL, a fleet that is learnt from, evaluation."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lwd_learner.child_process import MARK, Process, end_marked
from rich.console import Console
from rich.live import Live

from lwd_bringup.demo.fleet import Fleet
from lwd_bringup.demo.home import Home
from lwd_bringup.demo.options import DemoOptions
from lwd_bringup.demo.page import write_page
from lwd_bringup.demo.records import Records, read_status
from lwd_bringup.demo.report import make_report
from lwd_bringup.demo.view import one_line, render
from lwd_bringup.nodes.fleet_watch import FleetWatch

REFRESH_S = 0.5
LOG_EVERY_S = 10.0  # when the output is not a terminal
RESTARTS = 5  # of one command, before the demo gives up
DRAIN_S = 60.0  # for the last episodes to end, upload and become sampleable
LAST_EPISODES_S = 10.0  # before the learner's time is up no episode begins any more
TIME_LIMIT_S = 12.0  # of a deployed episode: a rescue that begins late needs time to succeed
STAGE_LIMITS = ('--sft.seconds', '95', '--sft.head-seconds', '80', '--offline.seconds', '55')
# of the wall's time: a quarter of an hour in all, on a slow machine too; `train` by itself leaves it to the steps
FLEET_SEED = 1_000_000  # scenes of the fleet; demonstrations count from 0, evaluation has its own


class StageError(RuntimeError):
    """A stage could not be finished; the message names the command and shows the end of its log."""


class Story:
    """Runs the stages in order and keeps every process that it started within reach."""

    def __init__(self, options: DemoOptions, home: Home, domain_id: int, console: Console) -> None:
        """Prepare the environment of all children; start nothing yet."""
        self._options = options
        self._home = home
        self._domain_id = domain_id
        self._console = console
        self._started = time.monotonic()
        self._run = uuid.uuid4().hex
        self._environment = {
            **os.environ,
            'LWD_HOME': str(home.path),
            'LWD_STORE': str(home.store),
            'ROS_DOMAIN_ID': str(domain_id),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_LOG_DIR': str(home.logs / 'ros'),
            'OMP_NUM_THREADS': '1',
            'PYTHONUNBUFFERED': '1',
        }
        self.interrupted = False
        """Set by a signal, besides what it raises: Python ignores that when it comes while a process is started."""
        self._processes: list[Process] = []
        self._watch: FleetWatch | None = None
        self._fleet = Fleet()
        self._records = Records(home.learner)
        self._notes: list[str] = []
        self._phase = 'starting'

    def note(self, text: str) -> None:
        """Keep a sentence for the report."""
        self._notes.append(text)

    def run(self) -> None:
        """Run every stage.

        Raises:
            StageError: a command failed more often than it is restarted.
        """
        robots = [f'g1_{index:02d}' for index in range(1, self._options.robots + 1)]
        self._console.print(
            f'{self._home.path}: ROS domain {self._domain_id}, logs in {self._home.logs.name}/; '
            'Ctrl-C stops everything',
            soft_wrap=True,
        )
        with self._showing():
            self._phase = 'keys for signing weights'
            self._finish(self._command('keys', 'lwd_learner', 'keys'))
            self._demonstrate()
            self._phase = 'learner: SFT, then offline RL'
            learner = self._command('train', 'lwd_learner', 'train', *self._training(), '--resume')
            self._until(learner, lambda: self._status().get('stage') in ('online', 'done'))
            self._watch = FleetWatch(robots, self._domain_id)
            self._phase = f'{len(robots)} robots act, the learner trains on what arrives'
            self._deploy(learner)
            self._phase = 'evaluation'
            self._until(learner, lambda: False)

    def write_report(self) -> dict[str, Any]:
        """Write report.json and report.html; return the report."""
        report = make_report(
            self._fleet, self._records, time.monotonic() - self._started, self._notes
        )
        (self._home.path / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
        write_page(self._home, report, self._fleet, self._records)
        return report

    def close(self) -> None:
        """Stop every process that was started, newest first, then whatever of them is left."""
        for process in reversed(self._processes):
            process.stop()
        left = end_marked(self._run)
        if left:
            self.note(f'{len(left)} processes had to be ended: {left}')
        if self._watch is not None:
            self._watch.close()

    def _demonstrate(self) -> None:
        make = self._command('make_data', 'lwd_sim', 'make_data', *self._demonstrations())

        def counted() -> bool:
            made = sum(1 for _ in self._home.store.glob('robots/*/episodes/*/*/manifest.json'))
            self._phase = f'{made} of {self._options.demonstrations} demonstrations, as bags'
            return False

        self._until(make, counted)

    def _demonstrations(self) -> list[str]:
        options = self._options
        return [
            '--task', options.task, '--episodes', str(options.demonstrations), '--skill', 'noisy',
            '--profile', options.profile, '--out', str(self._home.store), '--seed0', str(options.seed),
            '--workers', str(len(os.sched_getaffinity(0))),
        ]  # fmt: skip

    def _training(self) -> list[str]:
        options = self._options
        return [
            '--run-dir', str(self._home.learner), '--store', str(self._home.store), '--profile', options.profile,
            '--tasks', options.task, '--online-minutes', str(options.online_minutes),
            '--eval-episodes', str(options.eval_episodes), '--seed', str(options.seed),
            *STAGE_LIMITS, *shlex.split(options.train_args),
        ]  # fmt: skip

    def _deploy(self, learner: Callable[[], Process]) -> None:
        options = self._options
        arguments = {
            'robots': options.robots, 'profile': options.profile, 'tasks': f"['{options.task}']",
            'real_time_factor': options.real_time_factor, 'seed': FLEET_SEED, 'store': self._home.store,
            'time_limit_s': TIME_LIMIT_S,
        }  # fmt: skip
        command = ['ros2', 'launch', 'lwd_bringup', 'fleet_sim.launch.py']
        command += [f'{name}:={value}' for name, value in arguments.items()]
        fleet = self._keep('fleet', command)
        deadline = time.monotonic() + max(15.0, 60.0 * options.online_minutes - LAST_EPISODES_S)

        def over() -> bool:
            fleet()
            return time.monotonic() > deadline or self._status().get('stage') == 'done'

        self._until(learner, over)
        assert self._watch is not None
        deaf = self._watch.stop_new_episodes()
        if deaf:
            self.note(
                f'{", ".join(deaf)} did not answer the request to finish; the last episodes may be cut short'
            )
        self._phase = 'the last episodes end, upload and are ingested'
        deadline = time.monotonic() + DRAIN_S
        self._until(learner, lambda: time.monotonic() > deadline or self._drained())
        self._stop(fleet)

    def _drained(self) -> bool:
        ingested = {row.get('episode_id') for row in self._records.ingest.rows}
        return self._fleet.at_rest and set(self._fleet.episodes) <= ingested

    def _status(self) -> dict[str, Any]:
        return read_status(self._home.learner)

    def _command(
        self, name: str, package: str, executable: str, *arguments: str
    ) -> Callable[[], Process]:
        return self._keep(name, ['ros2', 'run', package, executable, *arguments])

    def _keep(self, name: str, command: list[str]) -> Callable[[], Process]:
        """Start a command; the result returns its running process, started again when a signal killed it."""
        log = self._home.logs / f'{name}.log'
        restarts = 0
        mark = f'{self._run}:{name}'
        environment = {**self._environment, MARK: mark}
        process = Process(name, command, log, environment)
        self._processes.append(process)

        def alive() -> Process:
            nonlocal process, restarts
            code = process.poll()
            if code is None or code == 0:
                return process
            restarts += 1
            if code > 0 or restarts > RESTARTS:
                raise StageError(
                    f'{name} failed (exit {code}): {" ".join(command)}\n{process.last_lines()}'
                )
            self.note(f'{name} (pid {process.pid}) was killed by signal {-code}; started again')
            self._processes.remove(process)
            end_marked(mark)  # its children would go on beside the new ones
            process = Process(name, command, log, environment)
            self._processes.append(process)
            return process

        return alive

    def _stop(self, alive: Callable[[], Process]) -> None:
        """End a command on purpose: from here on no exit code of it is a failure, or a reason to start it again."""
        process = alive()
        process.stop()
        self._processes.remove(process)

    def _finish(self, alive: Callable[[], Process]) -> None:
        self._until(alive, lambda: False)

    def _until(self, alive: Callable[[], Process], done: Callable[[], bool]) -> None:
        """Wait until `done`, or until the command has ended with exit code 0."""
        while not done():
            if self.interrupted:
                raise KeyboardInterrupt
            process = alive()
            if process.poll() == 0:
                return
            self._records.refresh()
            if self._watch is not None:
                self._fleet = self._watch.snapshot()
            self._show()
            time.sleep(REFRESH_S)

    @contextmanager
    def _showing(self) -> Iterator[None]:
        self._live: Live | None = None
        self._last_line = 0.0
        if not sys.stdout.isatty():
            yield
            return
        with Live(console=self._console, refresh_per_second=2, transient=False) as self._live:
            yield

    def _show(self) -> None:
        elapsed = time.monotonic() - self._started
        status = self._status()
        if self._live is not None:
            self._live.update(render(self._phase, self._fleet, self._records, status, elapsed))
        elif time.monotonic() - self._last_line > LOG_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(
                one_line(self._phase, self._fleet, status, elapsed), soft_wrap=True
            )
