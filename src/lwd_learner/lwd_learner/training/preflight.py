"""``train --check``: what would go wrong in an hour goes wrong in a minute.

The same code as in training looks at a sample of the data, takes one step of every stage and one sample of the policy,
in a folder that is thrown away. Neither the run folder nor the store is changed.
"""

from __future__ import annotations

import dataclasses
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import torch
from lwd_policy_node.policy import Policy, PolicyError
from lwd_policy_node.policy.pretrained import load_vision
from lwd_policy_node.profile import RobotProfile, load_profile
from lwd_policy_node.weights import KeyFileError, load_private_key
from lwd_recorder.store import StoreError, open_store
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors import SafetensorError

from lwd_learner.algorithms.divl import DivlConfig
from lwd_learner.ingest import Ingest
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.replay import DATASETS, Replay, ReplayError, Transitions
from lwd_learner.replay.layout import SOURCE_HUMAN
from lwd_learner.replay.segments import CUT, FAILURE, SUCCESS
from lwd_learner.training import sft_stage
from lwd_learner.training.accelerate import OUT_OF_MEMORY, device_of
from lwd_learner.training.checkpoint import (
    CheckpointError,
    drift,
    latest_checkpoint,
)
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.learner import Learner
from lwd_learner.training.new_policy import new_policy
from lwd_learner.training.stage_evaluation import StageEvaluation
from lwd_learner.training.team import check_team

EPISODES = 24
"""Episodes read from a store, half of them the oldest, where the run folder holds no replay yet."""
TRANSITIONS = 4096
"""Transitions looked at, of each data set."""
GIB = 1 << 30
NEEDS_ROS = 'to publish needs ROS 2 ({}): set it up in this shell, or --no-publish'

T = TypeVar('T')


class Wrong(Exception):
    """A check failed; the message says what was found and the remedy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    detail: str


class Preflight:
    """Runs the checks of one configuration in order; the first failure leaves out those that build on it."""

    def __init__(self, config: TrainConfig) -> None:
        """Prepare; `run` does the work."""
        self.config = config
        self.profile: RobotProfile = load_profile(config.profile)
        self._scratch = Path()
        self._replay: Replay | None = None
        self._policy: Policy | None = None
        self._shipped = False

    def run(self) -> list[Finding]:
        """Answer a finding for each check that was made."""
        findings = []
        alone = (self._run_folder, self._key, self._evaluation)
        with tempfile.TemporaryDirectory(prefix='lwd_check_') as folder:
            self._scratch = Path(folder)
            for check in (
                *(self._run_folder, self._key, self._evaluation, self._data, self._labels),
                *(self._shapes, self._ends, self._step, self._memory, self._sample),
            ):
                finding = _made(check)
                findings.append(finding)
                if not finding.ok and check not in alone:
                    break
        return findings

    def _run_folder(self) -> str:
        """Run folder."""
        config = self.config
        if config.publish:
            _check_no_other_learner(config.run_dir)
        found = latest_checkpoint(config.run_dir) if config.run_dir.exists() else None
        if found is None:
            return f'{config.run_dir} holds no run: a new one would begin'
        if not config.resume:
            raise Wrong(
                f'{config.run_dir} holds a run ({found.name}): give --resume, or another --run-dir'
            )
        changed = drift(found, config, Replay.open(config.run_dir / 'replay'))
        if changed and not config.allow_drift:
            raise Wrong(f'{found.name} cannot be resumed exactly: {"; ".join(changed)}')
        return f'would go on from {found.name}'

    def _key(self) -> str:
        """Signing key."""
        if not self.config.publish:
            return 'nothing will be published'
        load_private_key(self.config.private_key)
        return f'{self.config.private_key} signs'

    def _evaluation(self) -> str:
        """Evaluation."""
        StageEvaluation(self.config)
        if not self.config.eval_episodes:
            return 'none after the stages'
        return f'{self.config.eval_episodes} episodes of {", ".join(self.config.tasks)} after each stage'

    def _data(self) -> str:
        """Data."""
        kept = self.config.run_dir / 'replay'
        if (kept / f'{DATASETS[0]}.lance').exists():
            replay = Replay.open(kept)
            if len(replay):
                self._replay = replay
                return f'the replay of {self.config.run_dir}: {_counts(replay)}'
        self._replay = replay = Replay.create(self._scratch / 'replay', self.profile)
        found, damaged = self._read_some(replay)
        if damaged:
            raise Wrong(
                f'{len(damaged)} of {found} episodes are damaged: {"; ".join(damaged[:3])}'
            )
        if not len(replay):
            raise Wrong(
                f'no episode in {self.config.store}: record some, or `ros2 run lwd_sim make_data --out '
                f'{self.config.store}`'
            )
        return f'{found} episodes in {self.config.store}, looked at {_counts(replay)}'

    def _read_some(self, replay: Replay) -> tuple[int, list[str]]:
        store = open_store(self.config.store)
        journal = self._scratch / 'ingest.jsonl'
        ingest = Ingest(store, replay, self.profile, journal, self.config.ingest)
        damaged = []
        try:
            pending = ingest.pending()
            oldest = pending[: EPISODES // 2]  # demonstrations come first, usually
            for item in oldest + pending[len(oldest) :][-EPISODES // 2 :]:
                try:
                    dataset, frames = ingest.read(item)
                except DamagedEpisodeError as error:
                    damaged.append(f'{item.key}: {error}')
                    continue
                if not replay.has_episode(frames.episode_id):
                    replay.append(dataset, [frames])
        finally:
            ingest.close()
        return len(pending), damaged

    def _labels(self) -> str:
        """Labels."""
        replay = self._known(self._replay)
        facts = [e for name in DATASETS for e in replay.kept(name)]
        outcomes = {
            o: sum(e.outcome == o for e in facts) for o in sorted({e.outcome for e in facts})
        }
        said = ', '.join(f'{count} {outcome}' for outcome, count in outcomes.items())
        won = sum(e.won for e in replay.kept('offline'))
        if won == 0:
            raise Wrong(
                f'{said}; no successful demonstration among {len(replay.kept("offline"))} offline episodes: SFT '
                'has nothing to clone'
            )
        method = self.config.method
        if (
            method.values
            and 'failure' not in outcomes
            and not any(e.kind == 'play' for e in facts)
        ):
            said += '; no failure yet: Q learns little before there is one'
        if self.config.sft.vision == 'train' and self.config.sft.label_weight > 0:
            label = replay.index('offline').label.data
            known = float(np.isfinite(label).any(1).mean()) if label.size else 0.0
            said += f'; {label.shape[1]} position labels in {known:.0%} of rows'
        return said

    def _shapes(self) -> str:
        """Shapes."""
        replay, config = self._known(self._replay), self.config
        torch.manual_seed(config.seed)
        policy = new_policy(config, self.profile, replay.index('offline').label.data.shape[1])
        shape = policy.config
        for name in DATASETS:
            starts = Transitions(replay, shape.horizon).starts(name)
            if len(starts) == 0:
                continue
            images = replay.images(replay.global_rows(name, starts[:1]))
            if images.shape[1:] != (len(shape.cameras), *shape.image_size, 3):
                raise Wrong(
                    f'{name} images are {images.shape[1:]}, the policy takes {len(shape.cameras)} cameras of '
                    f'{shape.image_size}: give the --profile that they were recorded with'
                )
            batch = Transitions(replay, shape.horizon).read(
                replay.global_rows(name, starts[:TRANSITIONS])
            )
            for what in ('state', 'action', 'next_state'):
                if not np.isfinite(getattr(batch, what)).all():
                    raise Wrong(f'{name}: {what} holds NaN or infinity; ingest these bags anew')
        shipped = config.sft.vision == 'shipped' and load_vision(policy)
        sft_stage.fit_statistics(policy, replay, config.rl.gamma)
        self._policy, self._shipped = policy, shipped
        tower = 'the shipped vision tower' if shipped else 'a vision tower to be trained'
        return (
            f'{len(shape.cameras)} cameras of {shape.image_size[0]}x{shape.image_size[1]}, state {shape.state_dim}, '
            f'chunks of {shape.horizon} x {shape.action_dim}; {tower}'
        )

    def _ends(self) -> str:
        """Ends of episodes."""
        replay, config = self._known(self._replay), self.config
        policy = self._known(self._policy)
        wins = losses = cuts = 0
        for name in DATASETS:
            index = replay.index(name)
            reader = Transitions(replay, policy.config.horizon, 1, config.rl.gamma)
            starts = reader.starts(name)[-TRANSITIONS:]
            if len(starts) == 0:
                continue
            batch = reader.read(replay.global_rows(name, starts))
            ending = index.ending.data[starts]
            ends = batch.discount == 0
            _demand(
                name, 'a reward without a success', ((batch.reward > 0) & ~batch.success).any()
            )
            _demand(name, 'a reward that is bootstrapped past', ((batch.reward > 0) & ~ends).any())
            _demand(
                name,
                'a success without reward',
                (ends & (ending == SUCCESS) & (batch.reward == 0)).any(),
            )
            _demand(
                name,
                'a chunk that ends the episode where it is only cut',
                (ends & (ending == CUT)).any(),
            )
            step = np.minimum(
                np.arange(policy.config.horizon),
                index.limit.data[starts][:, None] - starts[:, None] - 1,
            )
            human = index.source.data[starts[:, None] + step] == SOURCE_HUMAN
            mixed = (human != human[:, :1]) & batch.mask
            _demand(name, 'a chunk that straddles a takeover', mixed.any())
            wins += int((ends & (ending == SUCCESS)).sum())
            losses += int((ends & (ending == FAILURE)).sum())
            cuts += int((~ends & (ending == CUT)).sum())
        if config.method.values:
            self._support(config.divl)
        return f'{wins} transitions end in success, {losses} in failure, {cuts} lie before a cut and bootstrap'

    def _support(self, divl: DivlConfig) -> None:
        if divl.v_min > 0 or divl.v_max < 1:
            raise Wrong(
                f"V's support [{divl.v_min}, {divl.v_max}] does not hold the returns 0 and 1: set --divl.v-min and "
                '--divl.v-max'
            )

    def _step(self) -> str:
        """One step."""
        replay, policy, config = self._known(self._replay), self._known(self._policy), self.config
        check_team(config)
        losses: list[str] = []

        def report(_: sft_stage.Cloning, info: dict[str, float]) -> bool:
            losses.append(f'clone {info["sft/loss"]:.3g}')
            if not np.isfinite(info['sft/loss']):
                raise Wrong(f'the loss of cloning is {info["sft/loss"]}')
            return True

        device = device_of(config)
        once = dataclasses.replace(config.sft, steps=1, seconds=0, head_steps=1, head_seconds=0)
        if not self._shipped:
            cloning = sft_stage.images_cloning(policy, replay, once, config.seed, device)
            sft_stage.train_images(policy, replay, once, cloning, report)
        cloning = sft_stage.head_cloning(policy, replay, once, config.seed, device)
        sft_stage.train_head(policy, replay, FeatureCache(replay, policy), once, cloning, report)
        policy.encoder.to(device).requires_grad_(False)
        features = FeatureCache(replay, policy)
        learner = Learner(policy, config)
        share = config.online.online_share if replay.episodes('online') else 0.0
        data = StageData(replay, policy, features, config, 1, share, config.seed)
        info: dict[str, float] = {}
        took = 0.0
        for _ in range(max(1, config.rl.actor_every)):
            began = time.perf_counter()
            clone = data.clone_batch() if config.method.clones != 'nothing' else None
            info |= learner.update(data.batch(), clone, config.offline.tau_base)
            took = time.perf_counter() - began
        if learner.skipped:
            raise Wrong(f'an update was left out: {", ".join(k for k in info if "skipped" in k)}')
        shown = ('value/loss', 'critic/loss', 'actor/loss')
        losses += [f'{name.split("/")[0]} {info[name]:.3g}' for name in shown if name in info]
        return f'{", ".join(losses)}; an update takes {took:.3f} s on {config.device}'

    def _memory(self) -> str:
        """Memory."""
        replay, policy = self._known(self._replay), self._known(self._policy)
        rows = sum(int(replay.index(name).new_image.data.sum()) for name in DATASETS)
        episodes = sum(len(replay.episodes(name)) for name in DATASETS)
        row = rows / max(1, episodes) * policy.config.feature_dim * 4
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        free = _available_bytes()
        said = (
            f'{peak / GIB:.2f} GiB at the peak of this check, {free / GIB:.1f} GiB are left; each episode adds about '
            f'{row / 2**20:.2f} MiB of features'
        )
        if self.config.device == 'cuda':
            left, total = torch.cuda.mem_get_info()
            used = torch.cuda.max_memory_allocated()
            said += f'; GPU: {used / GIB:.2f} GiB used at the peak, {left / GIB:.1f} of {total / GIB:.1f} left'
        if free < peak:
            raise Wrong(f'{said}: too little for a run; a smaller --rl.batch-size or --preset')
        return said

    def _sample(self) -> str:
        """One sample."""
        replay, policy = self._known(self._replay), self._known(self._policy)
        policy = policy.cpu()
        name = next(name for name in DATASETS if replay.episodes(name))
        start = Transitions(replay, policy.config.horizon).starts(name)[:1]
        index = replay.index(name)
        images = replay.images(replay.global_rows(name, start))[0]
        obs = SimpleNamespace(
            images=dict(zip(policy.config.cameras, images, strict=True)),
            state=index.state.take(start)[0],
            instruction=replay.instructions[int(index.instruction.data[start[0]])],
        )
        began = time.perf_counter()
        chunk = policy.act(obs, self.config.seed)
        took = time.perf_counter() - began
        if chunk.shape != (policy.config.horizon, policy.config.action_dim):
            raise Wrong(f'a chunk of shape {chunk.shape}')
        if not np.isfinite(chunk).all():
            raise Wrong('the sampled chunk holds NaN or infinity')
        return f'{chunk.shape[0]} x {chunk.shape[1]} targets, all finite, in {1e3 * took:.0f} ms'

    @staticmethod
    def _known(value: T | None) -> T:
        assert value is not None, 'the checks run in order'
        return value


def show(findings: list[Finding], console: Console) -> None:
    """Print the findings as a table."""
    table = Table('check', '', 'found')
    for finding in findings:
        verdict = Text('ok') if finding.ok else Text('wrong', style='red')
        table.add_row(finding.check, verdict, Text(finding.detail))
    console.print(table)


def _made(check: Callable[[], str]) -> Finding:
    name = str(check.__doc__).rstrip('.').lower()
    try:
        return Finding(name, True, check())
    except (
        *(Wrong, CheckpointError, KeyFileError, PolicyError, ReplayError, StoreError),
        *(OSError, ValueError, SafetensorError),
    ) as error:
        return Finding(name, False, str(error))
    except torch.OutOfMemoryError as error:
        return Finding(name, False, f'{OUT_OF_MEMORY}: {error}')


def _check_no_other_learner(run_dir: Path) -> None:
    try:  # only a run that publishes needs ROS 2
        from lwd_learner.publish.archive import PUBLISHED_FOLDER
        from lwd_learner.publish.publisher_lock import check_free
    except ModuleNotFoundError as error:
        raise Wrong(NEEDS_ROS.format(error)) from error
    check_free(run_dir / PUBLISHED_FOLDER)


def _demand(dataset: str, what: str, found: object) -> None:
    if found:
        raise Wrong(
            f'{dataset} holds {what}: the labels or the sources of these episodes are wrong'
        )


def _counts(replay: Replay) -> str:
    parts = [
        f'{len(replay.kept(name))} {name} episodes, {len(replay.index(name))} rows'
        for name in DATASETS
    ]
    return ', '.join(parts)


def _available_bytes() -> int:
    """Memory that can still be taken (Linux)."""
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable:'):
            return int(line.split()[1]) * 1024
    raise OSError('/proc/meminfo has no MemAvailable')
