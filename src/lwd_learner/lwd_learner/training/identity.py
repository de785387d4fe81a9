"""What must be the same for a run to go on as if it had never stopped: configuration, replay, code."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import lwd_policy_node.policy
import numpy as np
import torch

import lwd_learner
from lwd_learner.replay import DATASETS, Replay
from lwd_learner.training.config import TrainConfig

FREE = frozenset(
    (
        *('allow_drift', 'check', 'checkpoint_seconds', 'diagnostics_seconds'),
        *('eval_best_of', 'eval_episodes', 'eval_workers', 'tasks'),
        *(
            'json',
            'max_episode_bytes',
            'metrics_seconds',
            'private_key',
            'publish',
            'resume',
            'run_dir',
            'store',
        ),
        'weights',
    )
)
"""Fields that change nothing of what is learned. Where bags and replay lie is free; what is in them is not."""
LEARNER_FOLDERS = ('algorithms', 'replay', 'training')
"""Code that decides what is learned; the policy's is added."""

Identity = dict[str, dict[str, Any]]


def identity(config: TrainConfig, replay: Replay) -> Identity:
    """Of a run as it is now, ready for JSON."""
    return {'config': flat(config), 'replay': _replay(replay, None), 'code': dict(_code())}


def differences(saved: Identity, config: TrainConfig, replay: Replay) -> list[str]:
    """What is not as it was when `saved` was taken, one line each; episodes that came later are none."""
    now = {
        'config': flat(config),
        'replay': _replay(replay, saved['replay']),
        'code': dict(_code()),
    }
    now = json.loads(json.dumps(now))
    found = []
    for kind, entries in now.items():
        before = saved.get(kind, {})
        for name in sorted({*entries, *before}):
            was, found_now = before.get(name, 'absent'), entries.get(name, 'absent')
            if was != found_now:
                found.append(_sentence(kind, name, was, found_now))
    return found


def flat(config: Any, prefix: str = '') -> dict[str, Any]:
    """Fields by their name on the command line, those of FREE left out."""
    out: dict[str, Any] = {}
    for entry in dataclasses.fields(config):
        if not prefix and entry.name in FREE:
            continue
        value = getattr(config, entry.name)
        name = f'{prefix}{entry.name}'.replace('_', '-')
        if dataclasses.is_dataclass(value):
            out |= flat(value, f'{prefix}{entry.name}.')
        else:
            out[name] = list(value) if isinstance(value, tuple) else value
    return out


def _replay(replay: Replay, saved: dict[str, Any] | None) -> dict[str, Any]:
    """Digest of each data set's episodes, or of as many of the first ones as `saved` had."""
    out: dict[str, Any] = {}
    for name in DATASETS:
        episodes = replay.episodes(name)
        count = len(episodes) if saved is None else int(saved[name]['episodes'])
        digest = hashlib.sha256()
        for e in episodes[:count]:
            row = (e.episode_id, e.instruction, e.kind, e.outcome, e.pruned, e.start, e.stop)
            digest.update(json.dumps(row).encode())
        out[name] = {'episodes': min(count, len(episodes)), 'sha256': digest.hexdigest()}
    return out


@functools.cache
def _code() -> dict[str, str]:
    """sha256 of each source file as this process found it, and the versions of what computes."""
    ours, policy = (
        Path(str(module.__file__)).parent for module in (lwd_learner, lwd_policy_node.policy)
    )
    files = [path for folder in LEARNER_FOLDERS for path in (ours / folder).rglob('*.py')]
    out = {str(path.relative_to(ours.parent)): _sha256(path) for path in files}
    out |= {f'policy/{path.relative_to(policy)}': _sha256(path) for path in policy.rglob('*.py')}
    return out | {'torch': torch.__version__, 'numpy': np.__version__}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _sentence(kind: str, name: str, was: Any, now: Any) -> str:
    if kind == 'config':
        return f'--{name} was {was}, is {now}'
    if kind == 'replay':
        return (
            f'the first {was["episodes"]} episodes of {name} are not those that the run learned from, '
            'or are judged otherwise now'
        )
    if name in ('torch', 'numpy'):
        return f'{name} was {was}, is {now}'
    return f'{name} is {"new" if was == "absent" else "gone" if now == "absent" else "changed"}'
