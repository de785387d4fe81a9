"""``python -m bench.methods.run``: do what is left of a comparison, one JSON line per task, method, seed and round."""

from __future__ import annotations

import logging
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import tyro
from lwd_learner.evaluation import EvaluationError, Evaluator
from lwd_learner.replay import Replay
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.held_out import HeldOut
from lwd_learner.training.probe import Probe
from lwd_policy_node.policy import Policy
from lwd_sim.world import World

from bench.methods.buffer import IngestFailedError, held_out_replay, offline_store, take_in
from bench.methods.checkpoints import Actor, actor_of, method_folder, seed_folder
from bench.methods.config import TEST_SEED0, CompareConfig
from bench.methods.entries import ENTRIES
from bench.methods.learning import Method, OfflineFeatures, sft
from bench.methods.queue import Job, evaluated, left, refuse_overtaken
from bench.methods.results import Results
from bench.methods.rounds import act_round, forget_later, grown_replay, robot_world

ALL = 1
"""Every episode of the held-out replay is held out."""

log = logging.getLogger('methods')


class Shared:
    """What all methods of one task and seed use: the buffer, SFT's policy, and every image's features."""

    def __init__(self, config: CompareConfig, task: str, seed: int) -> None:
        """Make what is missing."""
        self.task, self.seed = task, seed
        folder = seed_folder(config.folder, task, seed)
        self.buffer = config.folder / 'buffer' / task
        store = offline_store(config, task)
        self.replay = take_in(store, self.buffer, config.profile)
        self.sft_policy = sft(config, store, self.buffer, seed, folder / 'sft')
        policy = Policy.load(self.sft_policy)
        self.features = FeatureCache(self.replay, policy)
        self.features.fill()
        self.held_out: Replay = held_out_replay(config, task)
        self.held_out_features = FeatureCache(self.held_out, policy)
        self.held_out_features.fill()

    def measure(self, method: Method) -> dict[str, float]:
        """How far the policy is from SFT's, and the critic's AUC, on the held-out episodes; what is finite of it."""
        replay, features, policy = self.held_out, self.held_out_features, method.policy
        found, _ = Probe(replay, policy, features, self.sft_policy).measure(method.learner)
        if method.settings.method.values:
            gamma = method.settings.rl.gamma
            found |= HeldOut(replay, policy, features, gamma, ALL).measure(
                method.learner.critic_ema
            )
        return {name: value for name, value in found.items() if math.isfinite(value)}


class Comparison:
    """Does jobs one after the other; keeps what the next one can use."""

    def __init__(self, config: CompareConfig, results: Results) -> None:
        """Nothing is opened before it is needed."""
        self._config, self._results = config, results
        self._shared: Shared | None = None
        self._world: World | None = None
        self._evaluator = Evaluator(config.profile, config.workers)

    def close(self) -> None:
        """End the workers."""
        self._evaluator.close()
        if self._world is not None:
            self._world.close()

    def do(self, job: Job) -> None:
        """One job, from its data to its line."""
        shared = self._shared_of(job)  # what all methods share is no method's cost
        began_s, cpu_s = time.monotonic(), time.process_time()
        line: dict[str, Any] = {
            'task': job.task,
            'method': job.method,
            'seed': job.seed,
            'round': job.round,
        }
        if ENTRIES[job.method].best_of == 1:
            line |= self._train(job, shared)
        if evaluated(self._config, job):
            actor = actor_of(self._config.folder, job)
            line |= actor.digests()
            line['test'] = self._test(job, actor)
        line |= {
            'wall_s': round(time.monotonic() - began_s, 1),
            'cpu_s': round(time.process_time() - cpu_s, 1),
            'machine': machine(self._config),
        }
        self._results.add(line)
        log.info(
            '%s seed %d round %d %s: %s', job.task, job.seed, job.round, job.method, _short(line)
        )

    def _shared_of(self, job: Job) -> Shared:
        if self._shared is None or (self._shared.task, self._shared.seed) != (job.task, job.seed):
            self._shared = Shared(self._config, job.task, job.seed)
        return self._shared

    def _train(self, job: Job, shared: Shared) -> dict[str, Any]:
        entry = ENTRIES[job.method]
        folder = method_folder(self._config.folder, job.task, job.seed, job.method)
        forget_later(self._config, folder, job.seed, job.round)
        method = Method(self._config, entry, shared.sft_policy, job.seed, folder)
        line: dict[str, Any] = {}
        if job.round == 0:
            line['losses'] = method.offline(shared.replay, shared.features)
            method.save(0, shared.replay)
        else:
            method.restore(job.round - 1)
            store = folder / 'store'
            line['acted'] = act_round(
                self._config,
                self._robot(),
                method.checkpoint(job.round - 1) / 'policy.safetensors',
                job.task,
                job.seed,
                job.round,
                store,
            )
            replay = grown_replay(self._config, shared.buffer, folder, store)
            features = OfflineFeatures(replay, method.policy, shared.features)
            line['losses'] = method.online(replay, features, job.round)
            method.save(job.round, replay)
        line['measured'] = shared.measure(method)
        return line

    def _test(self, job: Job, actor: Actor) -> dict[str, Any]:
        futures = self._evaluator.submit(
            actor.policy,
            tasks=(job.task,),
            episodes=self._config.test_episodes,
            seed0=TEST_SEED0,
            critic=actor.critic,
            best_of=actor.best_of,
        )
        return Evaluator.gather(futures).summary()

    def _robot(self) -> World:
        if self._world is None:
            self._world = robot_world(self._config)
        return self._world


def machine(config: CompareConfig) -> str:
    """What the figures were made on, and how much of it was used."""
    return (
        f'{os.cpu_count()} cores ({platform.machine()}), no GPU used, torch threads '
        f'{config.threads}, workers {config.workers}'
    )


def _short(line: dict[str, Any]) -> str:
    test = line.get('test')
    return f'{test["k"]}/{test["n"]}' if test else f'{line["wall_s"]} s, not evaluated'


def run(config: CompareConfig, comparison: Callable[[CompareConfig, Results], Comparison]) -> None:
    """Do what is left.

    Raises:
        ValueError: unknown methods, the folder is of another comparison, or a line would be of an overtaken policy.
    """
    results = Results(config.folder)
    todo = left(config, results.done())
    refuse_overtaken(todo, results.done())
    results.claim(config)
    at_work = comparison(config, results)
    try:
        for job in todo:
            at_work.do(job)
    finally:
        at_work.close()


def main() -> None:
    """Run; exit 1 on a named error."""
    config = tyro.cli(CompareConfig, prog='methods', description=__doc__)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    try:
        run(config, Comparison)
    except (EvaluationError, IngestFailedError, OSError, ValueError) as error:
        print(f'methods: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
