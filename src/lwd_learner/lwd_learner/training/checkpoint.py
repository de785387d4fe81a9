"""Checkpoints: policy.safetensors (what robots get), learner.safetensors (critic, averages, optimisers),
stage.safetensors and progress.json (where inside a stage the run is), identity.json (what it was made from). No pickle.

A checkpoint is a folder, written whole under another name and then renamed; `latest` names the newest. A run that is
killed at any moment finds a whole one, and goes on from it with the batch that would have been next.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lwd_policy_node.policy import Policy
from lwd_recorder.durable import fsync_files, fsync_folder, write_atomically

from lwd_learner.replay import Replay
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.identity import Identity, differences
from lwd_learner.training.learner import Learner
from lwd_learner.training.stage_state import (
    StageState,
    load_optimiser,
    optimiser_tensors,
    with_prefix,
)

KEEP = 2
"""Checkpoints kept besides those that end a stage."""
STAGE_FILE = 'stage.safetensors'

log = logging.getLogger('train')


class CheckpointError(ValueError):
    """A checkpoint is missing or does not fit; the message names it and the remedy."""


@dataclass(slots=True)
class Progress:
    """Where a run stands."""

    stage: str = 'sft'
    """sft, offline, online, final or done: the stage to run next, or to go on with."""
    ended: str = ''
    """The last stage that ended; empty before the first."""
    step: int = 0
    """Updates of RL so far."""
    logged: int = 0
    """Steps of all stages so far: the number of the next row of metrics."""
    version: int = 0
    """Last published version."""
    evaluations: dict[str, Any] = field(default_factory=dict)
    """Results by stage."""
    critic: dict[str, Any] = field(default_factory=dict)
    """The critic on held-out episodes, at the end of each stage."""
    short: dict[str, str] = field(default_factory=dict)
    """Stages that time ended long before their steps were done, a sentence each."""
    owed: str = ''
    """The stage whose policy is still to be published, if one is."""


def save_checkpoint(
    run_dir: Path,
    progress: Progress,
    policy: Policy,
    learner: Learner | None,
    name: str,
    *,
    stage: StageState | None = None,
    identity: Identity | None = None,
) -> Path:
    """Write one checkpoint and make it the latest; answers its folder.

    Args:
        run_dir: the run's folder.
        progress: where the run stands.
        policy: as it is now.
        learner: what RL trains; None before RL.
        name: of the checkpoint; one that is there is replaced.
        stage: progress inside the stage, if it is under way.
        identity: what the run is made from.
    """
    folder = run_dir / 'checkpoints' / name
    partial = folder.with_name(f'.{name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if learner is not None:
        learner.lend_critic()
    made_in = progress.stage if stage is not None else progress.ended or progress.stage
    policy.save(
        partial / 'policy.safetensors', {'lwd.stage': made_in, 'lwd.step': str(progress.step)}
    )
    if learner is not None:
        tensors, header = _learner_state(learner)
        safetensors.torch.save_file(tensors, str(partial / 'learner.safetensors'), metadata=header)
    record: dict[str, Any] = asdict(progress)
    if stage is not None:
        safetensors.torch.save_file(stage.tensors, str(partial / STAGE_FILE))
        record['under_way'] = {'part': stage.part, **stage.values}
    if identity is not None:
        write_atomically(partial / 'identity.json', json.dumps(identity).encode())
    write_atomically(partial / 'progress.json', json.dumps(record, indent=1).encode())
    fsync_files(partial)
    replaced = _replaced(folder)
    if folder.exists():  # it may be the latest: never a moment without a whole one
        shutil.rmtree(replaced, ignore_errors=True)
        folder.replace(replaced)
    partial.replace(folder)
    fsync_folder(folder.parent)
    write_atomically(run_dir / 'checkpoints' / 'latest', name.encode())
    shutil.rmtree(replaced, ignore_errors=True)
    _remove_old(run_dir / 'checkpoints', name)
    return folder


def latest_checkpoint(run_dir: Path) -> Path | None:
    """Folder of the newest checkpoint of a run, or None.

    Raises:
        CheckpointError: `latest` names a folder that is not there.
    """
    pointer = run_dir / 'checkpoints' / 'latest'
    if not pointer.exists():
        return None
    folder = run_dir / 'checkpoints' / pointer.read_text().strip()
    for whole in (folder, _replaced(folder)):
        if (whole / 'progress.json').exists():
            return whole
    raise CheckpointError(
        f'{pointer} names {folder.name}, which is not there; remove it to start anew'
    )


def load_progress(folder: Path) -> tuple[Progress, StageState | None]:
    """Where the run of this checkpoint stood, and where inside a stage.

    Raises:
        CheckpointError: it was written by another version of this package, or is damaged.
    """
    record = json.loads((folder / 'progress.json').read_text())
    under_way = record.pop('under_way', None)
    try:
        progress = Progress(**record)
    except TypeError as error:
        raise CheckpointError(
            f'{folder}/progress.json is of another version ({error}); start anew in another --run-dir'
        ) from error
    if under_way is None:
        return progress, None
    tensors, _ = _read(folder / STAGE_FILE)
    return progress, StageState(under_way.pop('part'), under_way, tensors)


def load_identity(folder: Path) -> Identity | None:
    """What the run of this checkpoint was made from; None if it does not say."""
    path = folder / 'identity.json'
    found: Identity | None = json.loads(path.read_text()) if path.exists() else None
    return found


def drift(folder: Path, config: TrainConfig, replay: Replay) -> list[str]:
    """Why the run of this checkpoint could not go on exactly, one line each."""
    saved = load_identity(folder)
    if saved is None:
        return [f'{folder} does not say what it was made from']
    return differences(saved, config, replay)


def refuse_drift(folder: Path, config: TrainConfig, replay: Replay) -> None:
    """Raise if the run of this checkpoint would go on as another one; with `allow_drift` say how, and let it.

    Raises:
        CheckpointError: something is different; the message names it.
    """
    changed = drift(folder, config, replay)
    if changed and not config.allow_drift:
        raise CheckpointError(
            f'{folder} cannot be resumed exactly: {"; ".join(changed)}. Put it back as it was, or give '
            '--allow-drift to go on all the same'
        )
    for line in changed:
        log.warning('resuming although %s', line)


def load_learner(folder: Path, learner: Learner) -> None:
    """Put the learner's tensors, optimiser states and counters back.

    Raises:
        CheckpointError: the tensors do not fit the configured sizes, or the file is damaged.
    """
    path = folder / 'learner.safetensors'
    tensors, header = _read(path)
    try:
        for name, module in learner.modules().items():
            module.load_state_dict(with_prefix(tensors, f'{name}.'))
        for name, optimiser in learner.optimisers.items():
            load_optimiser(optimiser, tensors, f'optimiser.{name}.')
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f'{path} does not fit this configuration: {error}') from error
    learner.step = int(header['step'])
    learner.skipped = int(header['skipped'])
    learner.temperature = float(header['temperature']) if header['temperature'] else None
    learner.log_alpha = float(header['log_alpha'])
    learner.generator.set_state(tensors['generator'])


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(str(path), framework='pt') as file:
            return safetensors.torch.load_file(str(path)), dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f'{path} cannot be read ({error}); write the name of another checkpoint beside it into '
            f'{path.parent.with_name("latest")} to go on from there'
        ) from error


def _learner_state(learner: Learner) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    tensors: dict[str, torch.Tensor] = {'generator': learner.generator.get_state()}
    for name, module in learner.modules().items():
        tensors |= {
            f'{name}.{key}': value.contiguous() for key, value in module.state_dict().items()
        }
    for name, optimiser in learner.optimisers.items():
        tensors |= optimiser_tensors(optimiser, f'optimiser.{name}.')
    return tensors, {
        'algorithm': learner.method.name,
        'step': str(learner.step),
        'skipped': str(learner.skipped),
        'log_alpha': repr(learner.log_alpha),
        'temperature': '' if learner.temperature is None else repr(learner.temperature),
    }


def _replaced(folder: Path) -> Path:
    return folder.with_name(f'.{folder.name}.replaced')


def _remove_old(folder: Path, newest: str) -> None:
    steps = sorted(path for path in folder.glob('step_*') if path.name != newest)
    for path in steps[: max(0, len(steps) - (KEEP - 1))]:
        shutil.rmtree(path, ignore_errors=True)
