"""Many worlds at once: N simulated G1s spread over worker processes, stepped together.

For whoever evaluates or collects with one policy and many scenes: the policy runs in the caller's process on a batch,
the worlds run beside it. Worlds are independent: each has its own task, scene and clock, may be left standing while
others move, and renders only when it is asked to. The same scenes and actions give the same bytes as in one
:class:`~lwd_sim.world.World`, whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import load_profile

from lwd_sim.tasks import Shift
from lwd_sim.world import Observation, UnstableError, World, check_rates

_CLOSE_S = 5.0  # for a worker to leave by itself


@dataclass(frozen=True, slots=True)
class Episode:
    """What one world shall play."""

    task: str
    seed: int
    shift: Shift = 'trained'


@dataclass(frozen=True, slots=True)
class Moment:
    """One world at one control tick."""

    observation: Observation
    success: bool
    progress: float  # share of the task's stages done, 0 .. 1
    score: float  # the same with a stage that needed a second try counting half
    time_limit_s: float


class WorkerDiedError(RuntimeError):
    """A worker process is gone, and the worlds in it with it; the message says which."""


class VectorWorld:
    """N worlds in worker processes; use it in ``with``."""

    def __init__(
        self, worlds: int, profile: str = 'g1_laptop', *, render: bool = True, workers: int = 0
    ) -> None:
        """Start the processes; scenes are built by :meth:`reset`.

        Args:
            worlds: N, at least 1.
            profile: robot profile, a known name or a path to a YAML.
            render: whether images can be asked for.
            workers: processes; 0 is one per available core, never more than worlds.

        Raises:
            ValueError: fewer than one world, or a rate of the profile that cannot be simulated.
        """
        if worlds < 1:
            raise ValueError(f'a vector of {worlds} worlds: at least 1 is needed')
        self.profile = load_profile(profile)
        check_rates(self.profile)
        count = min(worlds, workers or len(os.sched_getaffinity(0)))
        self._worlds = [[int(i) for i in share] for share in np.array_split(range(worlds), count)]
        self._worker_of = {i: w for w, share in enumerate(self._worlds) for i in share}
        context = multiprocessing.get_context('spawn')
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for share in self._worlds:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, profile, share, render), daemon=True
            )
            process.start()
            theirs.close()  # or we would never see that the worker is gone
            self._pipes.append(ours)
            self._processes.append(process)

    def __len__(self) -> int:
        return len(self._worker_of)

    def __enter__(self) -> VectorWorld:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reset(self, episodes: Mapping[int, Episode], images: bool = False) -> dict[int, Moment]:
        """Begin an episode in each of the given worlds; the others stay as they are.

        Args:
            episodes: by world, 0 .. N-1.
            images: whether to render the first observations.

        Raises:
            KeyError: no such task.
            WorkerDiedError: a worker is gone.
        """
        return self._ask('reset', {i: (episode, images) for i, episode in episodes.items()})

    def step(
        self,
        actions: Mapping[int, npt.NDArray[np.float64]],
        images: Sequence[int] | bool = False,
    ) -> dict[int, Moment]:
        """Advance the given worlds one control tick.

        Args:
            actions: joint targets (A,) by world; worlds that are not named stand still.
            images: which worlds to render afterwards, at any tick; True is all, False none.

        Raises:
            ValueError: an action that is none; some worlds may have stepped, reset them.
            UnstableError: a simulation blew up, the message says of which world; the same.
            WorkerDiedError: a worker is gone.
        """
        wanted = set(actions if images is True else images or ())
        return self._ask('step', {i: (action, i in wanted) for i, action in actions.items()})

    def observe(self, worlds: Sequence[int]) -> dict[int, Moment]:
        """The given worlds as they are, with images.

        Raises:
            WorkerDiedError: a worker is gone.
        """
        return self._ask('observe', dict.fromkeys(worlds, ()))

    def close(self) -> None:
        """End the processes; the second time nothing happens."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:  # it is gone already
                continue
        for process in self._processes:
            process.join(_CLOSE_S)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes:
            pipe.close()
        self._pipes, self._processes = [], []

    def _ask(self, what: str, of: Mapping[int, tuple[Any, ...]]) -> dict[int, Moment]:
        """Put one question to every worker that has some of the worlds, and collect all answers."""
        if not self._pipes:
            raise WorkerDiedError('this vector of worlds is closed; make a new one')
        shares: dict[int, list[tuple[int, tuple[Any, ...]]]] = {}
        for i, arguments in of.items():
            shares.setdefault(self._worker_of[i], []).append((i, arguments))
        for worker, share in shares.items():
            self._guarded(worker, partial(self._pipes[worker].send, (what, share)))
        moments: dict[int, Moment] = {}
        failure: Exception | None = None
        for worker in shares:
            answer = self._guarded(worker, self._pipes[worker].recv)
            if isinstance(answer, Exception):
                failure = failure or answer
            else:
                moments |= answer
        if failure is not None:
            raise failure
        return {i: moments[i] for i in of}

    def _guarded(self, worker: int, talk: Callable[[], Any]) -> Any:
        try:
            return talk()
        except (EOFError, OSError) as error:
            process, worlds = self._processes[worker], self._worlds[worker]
            process.join(_CLOSE_S)
            self.close()
            raise WorkerDiedError(
                f'worker {worker} (pid {process.pid}), which had worlds {worlds[0]} to {worlds[-1]}, ended with exit '
                f'code {process.exitcode}; all are closed now: make a new VectorWorld'
            ) from error


def _serve(pipe: Connection, profile: str, worlds: Sequence[int], render: bool) -> None:
    """A worker: answer until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    held = {i: World(load_profile(profile), render=render) for i in worlds}
    while True:
        try:
            question = pipe.recv()
        except EOFError:  # the parent is gone
            question = None
        if question is None:
            break
        what, share = question
        try:
            pipe.send(_moments(held, what, share))
        except (KeyError, ValueError, RuntimeError) as error:
            pipe.send(error)
    for world in held.values():
        world.close()


def _moments(
    held: Mapping[int, World], what: str, share: Sequence[tuple[int, tuple[Any, ...]]]
) -> dict[int, Moment]:
    moments = {}
    for i, arguments in share:
        try:
            moments[i] = _moment(held[i], what, *arguments)
        except UnstableError as error:
            raise UnstableError(f'world {i}: {error}') from error
    return moments


def _moment(world: World, what: str, *arguments: Any) -> Moment:
    if what == 'reset':
        episode, images = arguments
        observation = world.reset(episode.task, episode.seed, episode.shift, images=images)
    elif what == 'step':
        action, images = arguments
        observation = world.step(action, images=False)
        if images:
            observation = world.observe()
    else:
        observation = world.observe()
    return Moment(observation, world.success, world.progress, world.score, world.time_limit_s)
