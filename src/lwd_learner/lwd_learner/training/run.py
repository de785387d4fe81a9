"""One training run from beginning to end: SFT -> offline RL -> online RL, evaluated after each,
resumable by stage.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.pretrained import load_vision
from lwd_policy_node.profile import load_profile
from lwd_recorder.store import open_store

from lwd_learner.evaluation import Evaluator
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay
from lwd_learner.training import sft_stage
from lwd_learner.training.checkpoint import (
    CheckpointError,
    Progress,
    latest_checkpoint,
    load_learner,
    load_progress,
    save_checkpoint,
)
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.fleet_figures import success_by_version
from lwd_learner.training.learner import Info, Learner
from lwd_learner.training.new_policy import new_policy
from lwd_learner.training.status import Status

LOG_EVERY_S = 10.0
WAIT_S = 0.2

log = logging.getLogger('train')


class Announcer(Protocol):
    """What is used of `lwd_learner.publish.Publisher`."""

    def publish(
        self, policy_path: Path, *, stage: str, step: int, replay_version: str = ''
    ) -> int:
        """Announce a policy; answer its version."""
        ...


class Stopped(Exception):
    """The run was asked to stop; everything worth keeping has been saved."""


class TrainingRun:
    """Owns the replay, ingest, status, policy and learner of one run."""

    def __init__(self, config: TrainConfig, announcer: Announcer | None) -> None:
        """Open the run folder and take in what the store holds.

        Raises:
            CheckpointError: the folder holds another run and `resume` was not asked for.
        """
        self.config = config
        self.profile = load_profile(config.profile)
        self.stopping = threading.Event()
        config.run_dir.mkdir(parents=True, exist_ok=True)
        found = latest_checkpoint(config.run_dir)
        if found is not None and not config.resume:
            raise CheckpointError(
                f'{config.run_dir} holds a run already ({found.name}); give --resume to go on with it, '
                'or another --run-dir'
            )
        self._found = found
        self._announcer = announcer
        self.progress = load_progress(found) if found else Progress()
        self.status = Status(config.run_dir)
        self.replay = Replay.create(config.run_dir / 'replay', self.profile)
        self._ingest = Ingest(
            open_store(config.store), self.replay, self.profile, config.run_dir / 'ingest.jsonl'
        )
        self._quarantined = sum(r.quarantined is not None for r in self._ingest.journal.results)
        self._evaluator: Evaluator | None = None
        self._logged_s = 0.0
        self.policy: Policy | None = None
        self.learner: Learner | None = None
        self.features: FeatureCache | None = None

    # -- the run
    # -----------------------------------------------------------------------------------

    def execute(self) -> None:
        """Run every stage that is not done.

        Raises:
            Stopped: asked to stop; a checkpoint was written.
        """
        self._wait_for_demonstrations()
        if self.progress.stage == 'sft':
            self._sft()
        else:
            self._restore()
        self._evaluate('sft')
        if self.progress.stage == 'offline':
            self._offline()
        self._evaluate('offline')
        if self.progress.stage == 'online':
            self._online()
        if self.config.online_minutes > 0:
            self._evaluate('online')
        self.progress.stage = 'done'
        self._checkpoint('done')
        self.status.set(force=True, stage='done', message='')

    def close(self) -> None:
        """Release the replay, the workers and the log files."""
        if self._evaluator is not None:
            self._evaluator.close()
        self._ingest.close()
        self.status.close()

    # -- stages
    # ------------------------------------------------------------------------------------

    def _wait_for_demonstrations(self) -> None:
        self.poll()
        while not any(e.outcome == 'success' for e in self.replay.kept('offline')):
            self._say(f'waiting for successful demonstrations in {self.config.store}')
            self._check_stop()
            time.sleep(WAIT_S)
            self.poll()

    def _sft(self) -> None:
        config = self.config
        self._threads(config.threads)
        torch.manual_seed(config.seed)
        labels = self.replay.index('offline').label.data.shape[1]
        policy = self.policy = new_policy(config, self.profile, labels)
        sft_stage.fit_statistics(policy, self.replay, config.rl.gamma)

        def report(step: int, total: int, info: Info) -> bool:
            self._log('sft', step, total + config.sft.head_steps, info)
            return self.stopping.is_set()

        def report_head(step: int, total: int, info: Info) -> bool:
            done = max(0, self.status.fields['total_steps'] - config.sft.head_steps)
            self._log('sft', done + step, done + total, info)
            return self.stopping.is_set()

        shipped = config.sft.vision == 'shipped' and load_vision(policy)
        log.info('vision tower: %s', 'the shipped one, frozen' if shipped else 'trained here')
        if not shipped:
            sft_stage.train_images(policy, self.replay, config.sft, config.seed, report)
        self._check_stop(save=False)
        self._freeze()
        assert self.features is not None
        sft_stage.train_head(
            policy, self.replay, self.features, config.sft, config.seed, report_head
        )
        self._check_stop(save=False)
        self.learner = Learner(policy, config)
        self.progress.stage = 'offline'
        self._publish('sft', self._checkpoint('sft'))

    def _offline(self) -> None:
        assert self.learner is not None
        config, limits = self.config, self.config.offline
        self._threads(config.threads)
        data = self._data(limits.n_step, 0.0, config.seed + 10)
        began, first = time.monotonic(), self.learner.step
        method = config.method
        useful = (
            method.values or method.clones_offline
        )  # else there is nothing to do before robots act
        while useful and not self.stopping.is_set():
            done, elapsed = self.learner.step - first, time.monotonic() - began
            if done >= limits.steps or elapsed >= limits.seconds:
                break
            clone = data.clone_batch() if method.clones_offline else None
            info = self.learner.update(
                data.batch(), clone, limits.tau_base, elapsed / limits.seconds
            )
            total = min(limits.steps, int((done + 1) / max(elapsed / limits.seconds, 1e-3)))
            self._log('offline', done + 1, total, info)
        self._check_stop()
        self.progress.stage = 'online' if config.online_minutes > 0 else 'final'
        self._publish('offline', self._checkpoint('offline'))

    def _online(self) -> None:
        assert self.learner is not None
        config, limits = self.config, self.config.online
        self._threads(config.online_threads)
        # Of this thread alone: robots on the same machine infer first, and weights are served at once.
        os.setpriority(os.PRIO_PROCESS, 0, limits.nice)
        data = self._data(limits.n_step, limits.online_share, config.seed + 20)
        self._say('waiting for the first episodes', stage='online')
        if self.progress.version == 0:
            self._publish('online', self._checkpoint('online'))
        seconds, before = 60.0 * config.online_minutes, self.progress.online_s
        began = polled = published = saved = time.monotonic()
        first = published_step = self.learner.step
        while not self.stopping.is_set():
            now = time.monotonic()
            self.progress.online_s = before + now - began
            if self.progress.online_s >= seconds:
                break
            if now - polled >= limits.poll_seconds:
                polled = now
                if self.poll():
                    data.refresh()
            online = len(self.replay.episodes('online'))
            if online < limits.wait_for_episodes or self._ahead(first):
                self._say(f'{online} online episodes; waiting for more', stage='online')
                time.sleep(WAIT_S)
                continue
            clone = data.clone_batch() if config.clones_online else None
            progress = self.progress.online_s / seconds
            info = self.learner.update(data.batch(), clone, limits.tau_base, progress)
            done = self.learner.step - first
            total = int(done / max(self.progress.online_s / seconds, 1e-3))
            self._log('online', done, total, info)
            due = self.learner.step - published_step >= limits.publish_steps
            if due and now - published >= limits.publish_seconds:
                saved = published = now
                published_step = self.learner.step
                self._publish('online', self._checkpoint(f'step_{self.learner.step:08d}'))
            elif now - saved >= limits.checkpoint_seconds:
                saved = now
                self._checkpoint(f'step_{self.learner.step:08d}')
        self._check_stop()
        self.progress.stage = 'final'
        self._publish('online', self._checkpoint('online'))

    def _ahead(self, first: int) -> bool:
        """Whether the learner has done all the updates that the online data allows."""
        cap, assured = self.config.online.updates_per_frame, self.learner
        frames = len(self.replay.index('online'))
        return cap > 0 and assured is not None and assured.step - first >= cap * frames

    # -- pieces
    # ------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Ingest what the robots delivered; True if the replay has grown."""
        results = self._ingest.poll()
        self._quarantined += sum(r.quarantined is not None for r in results)
        grown = any(r.quarantined is None and not r.duplicate for r in results)
        if results or not self.status.fields['episodes']['offline']:
            counts = {name: len(self.replay.kept(name)) for name in ('offline', 'online')}
            self.status.set(
                episodes=counts,
                quarantined=self._quarantined,
                success_by_version=success_by_version(self.replay),
            )
        if self._ingest.trouble:
            self._say(f'the store is in trouble: {self._ingest.trouble}')
        return grown

    def _data(self, n_step: int, online_share: float, seed: int) -> StageData:
        assert self.policy is not None and self.features is not None
        self.features.fill()
        return StageData(
            self.replay, self.policy, self.features, self.config, n_step, online_share, seed
        )

    def _freeze(self) -> None:
        """The encoder is final: cache its features of everything."""
        assert self.policy is not None
        self.policy.encoder.requires_grad_(False)
        self._say('encoding every image once')
        self.features = FeatureCache(self.replay, self.policy)
        self.features.fill()

    def _restore(self) -> None:
        assert self._found is not None
        self._threads(self.config.threads)
        log.info('resuming %s from %s', self.progress.stage, self._found)
        self.policy = Policy.load(self._found / 'policy.safetensors')
        self.learner = Learner(self.policy, self.config)
        load_learner(self._found, self.learner)
        self.status.set(eval=dict(self.progress.evaluations), version=self.progress.version)
        self._freeze()

    def _checkpoint(self, name: str) -> Path:
        assert self.policy is not None
        self.progress.step = self.learner.step if self.learner else 0
        return save_checkpoint(self.config.run_dir, self.progress, self.policy, self.learner, name)

    def _publish(self, stage: str, checkpoint: Path) -> None:
        if self._announcer is None:
            return
        replay_version = ' '.join(f'{k}@{v}' for k, v in self.replay.snapshot().items())
        self.progress.version = self._announcer.publish(
            checkpoint / 'policy.safetensors',
            stage=stage,
            step=self.progress.step,
            replay_version=replay_version,
        )
        self.status.set(version=self.progress.version)

    def _evaluate(self, stage: str) -> None:
        path = self.config.run_dir / 'checkpoints' / stage / 'policy.safetensors'
        if self.config.eval_episodes == 0 or stage in self.progress.evaluations:
            return
        if not path.exists():
            return
        self._say(f'evaluating {stage} on {self.config.eval_episodes} episodes')
        if self._evaluator is None:
            self._evaluator = Evaluator(self.config.profile, self.config.eval_workers)
        futures = self._evaluator.submit(
            path, tasks=self.config.tasks, episodes=self.config.eval_episodes
        )
        while not all(future.done() for future in futures):
            if self.stopping.is_set():
                for future in futures:
                    future.cancel()
                self._check_stop()
            self.poll()
            time.sleep(WAIT_S)
        result = Evaluator.gather(futures)
        log.info('%s: %s', stage, result)
        self.progress.evaluations[stage] = result.summary()
        self.status.set(
            force=True, eval=dict(self.progress.evaluations), message=f'{stage}: {result}'
        )

    def _check_stop(self, save: bool = True) -> None:
        if self.stopping.is_set():
            if save and self.policy is not None:
                self._checkpoint(f'step_{self.learner.step if self.learner else 0:08d}')
            self.status.set(force=True, message='stopped')
            raise Stopped

    def _log(self, stage: str, step: int, total: int, info: Info) -> None:
        skipped = self.learner.skipped if self.learner is not None else 0
        self.status.log(stage, step, total, info | {'skipped': float(skipped)}, message='')
        now = time.monotonic()
        if now - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now
            shown = ' '.join(f'{k}={v:.3g}' for k, v in self.status.fields['losses'].items())
            log.info('%s step %d of about %d: %s', stage, step, total, shown)

    def _say(self, message: str, **fields: Any) -> None:
        if self.status.fields['message'] != message:
            log.info('%s', message)
        self.status.set(message=message, **fields)

    def _threads(self, count: int) -> None:
        torch.set_num_threads(count or len(os.sched_getaffinity(0)))


def record(config: TrainConfig) -> dict[str, object]:
    """The configuration as plain data for config.json."""
    raw = dataclasses.asdict(config)
    return {k: str(v) if isinstance(v, Path) else v for k, v in raw.items()}
