"""One training run from beginning to end: SFT -> offline RL -> online RL, evaluated after each,
resumable by stage.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.pretrained import load_vision
from lwd_policy_node.profile import load_profile
from lwd_recorder.store import open_store

from lwd_learner.ingest import Ingest
from lwd_learner.ingest.postponed import TROUBLE_MOST_S, TROUBLE_TIMES
from lwd_learner.replay import Replay
from lwd_learner.training import sft_stage
from lwd_learner.training.accelerate import device_of, share_of_threads
from lwd_learner.training.checkpoint import (
    CheckpointError,
    Progress,
    latest_checkpoint,
    load_learner,
    load_progress,
    refuse_drift,
    save_checkpoint,
)
from lwd_learner.training.config import SftConfig, TrainConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.diagnostics import Diagnostics
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.fleet_figures import success_by_version
from lwd_learner.training.identity import identity
from lwd_learner.training.learner import Info, Learner
from lwd_learner.training.narrator import Narrator
from lwd_learner.training.new_policy import new_policy, refuse_best_of, resumed_policy
from lwd_learner.training.stage_clock import StageClock
from lwd_learner.training.stage_evaluation import StageEvaluation
from lwd_learner.training.stage_state import StageState
from lwd_learner.training.status import Status
from lwd_learner.training.team import Team
from lwd_learner.training.terminal import Terminal

WAIT_S = 0.2

log = logging.getLogger('train')


CloningStage = Callable[[Policy, Replay, SftConfig, sft_stage.Cloning, sft_stage.Report], None]
"""`sft_stage.train_images`, or `train_head` with its features given."""


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

    def __init__(
        self,
        config: TrainConfig,
        announcer: Announcer | None,
        terminal: Terminal | None = None,
    ) -> None:
        """Open the run folder and take in what the store holds.

        Args:
            config: everything the run is told.
            announcer: publishes weights; None: they are only saved.
            terminal: shows progress; None: the log does.

        Raises:
            ValueError: the configured device is not there, or the method cannot do what is configured.
            CheckpointError: the folder holds another run and `resume` was not asked for, or one that was made from
                another configuration, replay or code.
        """
        refuse_best_of(config)
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
        self._device = device_of(config)
        self._announcer = announcer
        self.progress, self._under_way = load_progress(found) if found else (Progress(), None)
        self.replay = Replay.create(config.run_dir / 'replay', self.profile)
        if found is not None:
            refuse_drift(found, config, self.replay)
        self.status = Status(config.run_dir, self.progress.logged, config.metrics_seconds)
        self._narrator = Narrator(self.status, self.progress, terminal)
        self._saved = time.monotonic()
        self._team = Team(config) if config.num_workers > 1 else None
        self._ingest = Ingest(
            open_store(config.store),
            self.replay,
            self.profile,
            config.run_dir / 'ingest.jsonl',
            config.ingest,
        )
        self._quarantined = sum(r.quarantined is not None for r in self._ingest.journal.results)
        self._evaluation = StageEvaluation(config)
        self._first_part = 'head'
        self.policy: Policy | None = None
        self.learner: Learner | None = None
        self.features: FeatureCache | None = None
        self._diagnostics: Diagnostics | None = None

    # -- the run
    # -----------------------------------------------------------------------------------

    def execute(self) -> None:
        """Run every stage that is not done.

        Raises:
            Stopped: asked to stop; a checkpoint was written.
        """
        self._wait_for_demonstrations()
        if self._found is not None:
            self._restore(self._found)
            self._publish_owed()
        if self.progress.stage == 'sft':
            self._sft()
        self._evaluate('sft')
        if self.progress.stage == 'offline':
            self._offline()
        self._evaluate('offline')
        if self.progress.stage == 'online':
            self._online()
        if self.config.online_minutes > 0:
            self._evaluate('online')
        self._publish_owed()
        if self.progress.stage != 'done':
            self.progress.stage = 'done'
            self._checkpoint('done')
        self.status.set(force=True, stage='done', message='')

    def close(self) -> None:
        """Release the replay, the workers and the log files."""
        self._evaluation.close()
        if self._team is not None:
            self._team.close()
        self._ingest.close()
        self.status.close()

    # -- stages
    # ------------------------------------------------------------------------------------

    def _wait_for_demonstrations(self) -> None:
        self.poll()
        while not any(e.won for e in self.replay.kept('offline')):
            self._narrator.say(f'waiting for successful demonstrations in {self.config.store}')
            self._check_stop()
            time.sleep(WAIT_S)
            self.poll()

    def _sft(self) -> None:
        config = self.config
        self._threads(config.threads)
        if self.policy is None:
            self._begin()
        assert self.policy is not None
        part = self._under_way.part if self._under_way else self._first_part
        if part == 'images':
            cloning = sft_stage.images_cloning(
                self.policy, self.replay, config.sft, config.seed, self._device
            )
            self._clone(cloning, sft_stage.train_images)
        self._freeze()
        features = self.features
        assert features is not None
        cloning = sft_stage.head_cloning(
            self.policy, self.replay, config.sft, config.seed, self._device
        )
        self._clone(
            cloning,
            lambda policy, replay, *rest: sft_stage.train_head(policy, replay, features, *rest),
        )
        self.learner = Learner(self.policy, config, self._team)
        self._end_stage('sft', 'offline')
        self._let_begin(config.run_dir / 'checkpoints' / 'sft')

    def _begin(self) -> None:
        """A new policy, with the shipped vision tower where there is one."""
        config = self.config
        torch.manual_seed(config.seed)
        labels = self.replay.index('offline').label.data.shape[1]
        self.policy = new_policy(config, self.profile, labels)
        sft_stage.fit_statistics(self.policy, self.replay, config.rl.gamma)
        shipped = config.sft.vision == 'shipped' and load_vision(self.policy)
        log.info('vision tower: %s', 'the shipped one, frozen' if shipped else 'trained here')
        self._first_part = 'head' if shipped else 'images'

    def _clone(self, cloning: sft_stage.Cloning, train: CloningStage) -> None:
        """One part of SFT, gone on with where it was interrupted."""
        assert self.policy is not None
        if self._under_way is not None:
            cloning.load(self._under_way)
            self._under_way = None

        def report(cloning: sft_stage.Cloning, info: Info) -> bool:
            clock = cloning.clock
            self._narrator.step('sft', clock, info | {'skipped': float(cloning.skipped)})
            self._checkpoint_if_due(cloning.state)
            return self.stopping.is_set()

        train(self.policy, self.replay, self.config.sft, cloning, report)
        self._check_stop(cloning.state)
        self._narrator.warn_if_short('sft', cloning.clock, f'--sft.{cloning.seconds_flag}')

    def _offline(self) -> None:
        assert self.learner is not None
        config, limits = self.config, self.config.offline
        self._threads(config.threads)
        clock = StageClock(limits.steps, limits.seconds)
        data = self._data(limits.n_step, 0.0, config.seed + 10, clock)

        def state() -> StageState:
            return StageState('offline', {'clock': clock.state(), 'data': data.state()})

        while not (clock.over or self.stopping.is_set()):
            self._update('offline', data, config.clones_offline, limits.tau_base, clock)
            self._checkpoint_if_due(state)
        self._check_stop(state)
        self._narrator.warn_if_short('offline', clock, '--offline.seconds')
        self._end_stage('offline', 'online' if config.online_minutes > 0 else 'final')

    def _online(self) -> None:
        assert self.learner is not None
        config, limits = self.config, self.config.online
        self._threads(config.online_threads)
        # Of this thread alone: robots on the same machine infer first, and weights are served at once.
        os.setpriority(os.PRIO_PROCESS, 0, max(limits.nice, os.getpriority(os.PRIO_PROCESS, 0)))
        clock = StageClock(None, 60.0 * config.online_minutes)
        data = self._data(limits.n_step, limits.online_share, config.seed + 20, clock)

        def state() -> StageState:
            return StageState('online', {'clock': clock.state(), 'data': data.state()})

        self._narrator.say('waiting for the first episodes', stage='online')
        if self.progress.version == 0:
            self._publish_under_way(state)
        polled = published = time.monotonic()
        pause_s, published_step = limits.poll_seconds, self.learner.step
        while not (clock.over or self.stopping.is_set()):
            now = time.monotonic()
            if now - polled >= pause_s:
                self.poll()
                if data.behind():
                    data.refresh()
                polled = time.monotonic()
                pause_s = self._pause_s(polled - now)
            online = len(self.replay.episodes('online'))
            if online < limits.wait_for_episodes or self._ahead(clock.done):
                self._narrator.say(f'{online} online episodes; waiting for more', stage='online')
                time.sleep(WAIT_S)
                continue
            self._update('online', data, config.clones_online, limits.tau_base, clock)
            due = self.learner.step - published_step >= limits.publish_steps
            if due and now - published >= limits.publish_seconds:
                published, published_step = now, self.learner.step
                self._publish_under_way(state)
            else:
                self._checkpoint_if_due(state)
        self._check_stop(state)
        self._end_stage('online', 'final')

    def _update(
        self, stage: str, data: StageData, clones: bool, tau_base: float, clock: StageClock
    ) -> None:
        """One update of a RL stage, logged; now and then measured."""
        assert self.learner is not None and self._diagnostics is not None
        clone = data.clone_batch() if clones else None
        try:
            info = self.learner.update(data.batch(), clone, tau_base, clock.progress)
        except RuntimeError as error:
            if self._team is not None:
                self._team.blame(error)
            raise
        if self.learner.q_error is not None:
            data.report(self.learner.q_error.cpu().numpy())
        clock.done += 1
        info = info | data.weights() | {'skipped': float(self.learner.skipped)}
        self._narrator.step(stage, clock, info)
        self._diagnostics.measure_if_due(self.learner, stage, clock.done, self.status.logged)

    def _end_stage(self, stage: str, then: str) -> None:
        if self._diagnostics is not None and self.learner is not None:
            critic = self._diagnostics.critic(self.learner, stage, self.status.logged)
            self.progress.critic[stage] = critic
            self.status.set(critic=dict(self.progress.critic))
        self.progress.stage, self.progress.ended, self.progress.owed = then, stage, stage
        self._publish(stage, self._checkpoint(stage))

    def _pause_s(self, look_s: float) -> float:
        """How long the online stage goes on after a look at the store, which took `look_s` of its time."""
        every_s = self.config.online.poll_seconds
        if not self._ingest.away:
            return every_s
        return max(every_s, min(TROUBLE_TIMES * look_s, TROUBLE_MOST_S))

    def _ahead(self, updates: int) -> bool:
        """Whether the online stage has had all the updates that its data allows."""
        cap = self.config.online.updates_per_frame
        return cap > 0 and updates >= cap * len(self.replay.index('online'))

    # -- pieces
    # ------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Ingest what the robots delivered."""
        results = self._ingest.poll()
        self._quarantined += sum(r.quarantined is not None for r in results)
        if results or not self.status.fields['episodes']['offline']:
            counts = {name: len(self.replay.kept(name)) for name in ('offline', 'online')}
            self.status.set(
                episodes=counts,
                quarantined=self._quarantined,
                success_by_version=success_by_version(self.replay),
            )
        if self._ingest.trouble:
            self._narrator.say(f'the store is in trouble: {self._ingest.trouble}')

    def _data(self, n_step: int, online_share: float, seed: int, clock: StageClock) -> StageData:
        """Batches of a stage; they and its clock go on where it was interrupted."""
        assert self.policy is not None and self.features is not None
        self.features.fill()
        adaptive = online_share > 0 and self.config.online.adaptive_share
        data = StageData(
            self.replay,
            self.policy,
            self.features,
            self.config,
            n_step,
            online_share,
            seed,
            adaptive,
        )
        self._diagnostics = Diagnostics(
            self.config, self.replay, self.policy, self.features, self.status.board
        )
        if self._under_way is not None:
            clock.load(self._under_way.values['clock'])
            data.load(self._under_way.values['data'])
            self._under_way = None
        return data

    def _freeze(self) -> None:
        """The encoder is final: cache its features of everything."""
        assert self.policy is not None
        self.policy.encoder.to(self._device).requires_grad_(False)
        self._narrator.say('encoding every image once')
        self.features = FeatureCache(self.replay, self.policy)
        self.features.fill()

    def _restore(self, found: Path) -> None:
        self._threads(self.config.threads)
        log.info('resuming %s from %s', self.progress.stage, found)
        self.policy = resumed_policy(found / 'policy.safetensors', self.config)
        self._first_part = 'head'
        self.status.set(eval=dict(self.progress.evaluations), version=self.progress.version)
        if self.progress.stage != 'sft':
            self.learner = Learner(self.policy, self.config, self._team)
            load_learner(found, self.learner)
            self._let_begin(found)
            self._freeze()

    def _let_begin(self, checkpoint: Path) -> None:
        """The processes that share the updates start where this one is."""
        if self._team is not None:
            self._team.begin(checkpoint)

    def _checkpoint(self, name: str, stage: StageState | None = None) -> Path:
        assert self.policy is not None
        self._saved = time.monotonic()
        self.progress.step = self.learner.step if self.learner else 0
        self.progress.logged = self.status.logged
        return save_checkpoint(
            self.config.run_dir,
            self.progress,
            self.policy,
            self.learner,
            name,
            stage=stage,
            identity=identity(self.config, self.replay),
        )

    def _step_name(self) -> str:
        return f'step_{self.status.logged:09d}'

    def _checkpoint_if_due(self, state: Callable[[], StageState]) -> None:
        if time.monotonic() - self._saved >= self.config.checkpoint_seconds:
            self._checkpoint(self._step_name(), state())

    def _publish(self, stage: str, checkpoint: Path) -> bool:
        """Announce a checkpoint's policy; answers whether it was."""
        if self._announcer is None:
            return False
        replay_version = ' '.join(f'{k}@{v}' for k, v in self.replay.snapshot().items())
        path = checkpoint / 'policy.safetensors'
        try:
            self.progress.version = self._announcer.publish(
                path, stage=stage, step=self.progress.step, replay_version=replay_version
            )
        except OSError as error:  # a store that is away: robots go on with what they have
            log.error('%s was not published: %s', path, error)
            return False
        self.progress.owed = ''
        self.status.set(version=self.progress.version)
        return True

    def _publish_under_way(self, state: Callable[[], StageState]) -> None:
        """The policy in the middle of the online stage: it overtakes what is owed, which no resume may publish then."""
        owed, self.progress.owed = self.progress.owed, ''
        if not self._publish('online', self._checkpoint(self._step_name(), state())):
            self.progress.owed = owed

    def _publish_owed(self) -> None:
        """The end of a stage that was not published: the run was killed before, or no place took it."""
        if self.progress.owed:
            folder = self.config.run_dir / 'checkpoints' / self.progress.owed
            self._publish(self.progress.owed, folder)

    def _evaluate(self, stage: str) -> None:
        """Success of a stage's checkpoint."""

        def meanwhile() -> bool:
            self.poll()
            time.sleep(WAIT_S)
            return self.stopping.is_set()

        for due in self._evaluation.due(stage, self.progress.evaluations):
            self._narrator.say(f'evaluating {due.name} on {self.config.eval_episodes} episodes')
            result = self._evaluation.run(due, meanwhile)
            self._check_stop()
            log.info('%s: %s', due.name, result)
            assert result is not None
            self.progress.evaluations[due.name] = result.summary()
            self.status.set(
                force=True, eval=dict(self.progress.evaluations), message=f'{due.name}: {result}'
            )

    def _check_stop(self, state: Callable[[], StageState] | None = None) -> None:
        """Save and leave if asked to: inside a stage with its state."""
        if self.stopping.is_set():
            if self.policy is not None:
                self._checkpoint(self._step_name(), state() if state else self._under_way)
            self.status.set(force=True, message='stopped')
            raise Stopped

    def _threads(self, count: int) -> None:
        torch.set_num_threads(share_of_threads(count, self.config.num_workers))
