"""Checkpoints: policy.safetensors (what robots get), learner.safetensors (the rest),
progress.json. No pickle.

A checkpoint is a folder, written whole under another name and then renamed; `latest` names the
newest. Resuming continues the interrupted stage from it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lwd_policy_node.policy import Policy

from lwd_learner.training.learner import Learner

KEEP = 2
"""Checkpoints kept besides those that end a stage."""


class CheckpointError(ValueError):
    """A checkpoint is missing or does not fit; the message names it and the remedy."""


@dataclass(slots=True)
class Progress:
    """Where a run stands."""

    stage: str = 'sft'
    """sft, offline, online, final or done: the stage to run next, or to go on with."""
    step: int = 0
    """Updates of RL so far."""
    online_s: float = 0.0
    """Wall time that the online stage has had, s."""
    version: int = 0
    """Last published version."""
    evaluations: dict[str, Any] = field(default_factory=dict)
    """Results by stage."""


def save_checkpoint(
    run_dir: Path, progress: Progress, policy: Policy, learner: Learner | None, name: str
) -> Path:
    """Write one checkpoint and make it the latest; answers its folder."""
    folder = run_dir / 'checkpoints' / name
    partial = folder.with_name(f'.{name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    policy.save(
        partial / 'policy.safetensors',
        {'lwd.stage': progress.stage, 'lwd.step': str(progress.step)},
    )
    if learner is not None:
        tensors, header = _learner_state(learner)
        safetensors.torch.save_file(tensors, str(partial / 'learner.safetensors'), metadata=header)
    (partial / 'progress.json').write_text(json.dumps(asdict(progress), indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
    pointer = run_dir / 'checkpoints' / '.latest.partial'
    pointer.write_text(name)
    pointer.replace(run_dir / 'checkpoints' / 'latest')
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
    if not (folder / 'progress.json').exists():
        raise CheckpointError(
            f'{pointer} names {folder.name}, which is not there; remove it to start anew'
        )
    return folder


def load_progress(folder: Path) -> Progress:
    """Where the run of this checkpoint stood."""
    return Progress(**json.loads((folder / 'progress.json').read_text()))


def load_learner(folder: Path, learner: Learner) -> None:
    """Put the learner's tensors, optimiser states and counters back.

    Raises:
        CheckpointError: the tensors do not fit the configured sizes.
    """
    path = folder / 'learner.safetensors'
    tensors = safetensors.torch.load_file(str(path))
    with safetensors.safe_open(str(path), framework='pt') as file:
        header = dict(file.metadata())
    try:
        for name, module in learner.modules().items():
            module.load_state_dict(_take(tensors, f'{name}.'))
        for name, optimiser in learner.optimisers.items():
            flat = _take(tensors, f'optimiser.{name}.')
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, tensor in flat.items():
                number, entry = key.split('.', 1)
                state.setdefault(int(number), {})[entry] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), 'state': state})
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f'{path} does not fit this configuration: {error}') from error
    learner.step = int(header['step'])
    learner.temperature = float(header['temperature']) if header['temperature'] else None
    learner.generator.set_state(tensors['generator'])


def _learner_state(learner: Learner) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    tensors: dict[str, torch.Tensor] = {'generator': learner.generator.get_state()}
    for name, module in learner.modules().items():
        tensors |= {
            f'{name}.{key}': value.contiguous() for key, value in module.state_dict().items()
        }
    for name, optimiser in learner.optimisers.items():
        for number, entries in optimiser.state_dict()['state'].items():
            for key, value in entries.items():
                tensors[f'optimiser.{name}.{number}.{key}'] = value.contiguous()
    temperature = '' if learner.temperature is None else repr(learner.temperature)
    return tensors, {'step': str(learner.step), 'temperature': temperature}


def _take(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _remove_old(folder: Path, newest: str) -> None:
    steps = sorted(path for path in folder.glob('step_*') if path.name != newest)
    for path in steps[: max(0, len(steps) - (KEEP - 1))]:
        shutil.rmtree(path, ignore_errors=True)
