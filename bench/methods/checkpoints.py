"""Where the policies of a comparison are, and with whose critic they act."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.methods.entries import ENTRIES
from bench.methods.queue import Job


@dataclass(frozen=True, slots=True)
class Actor:
    """How one line's policy acts."""

    policy: Path
    """policy.safetensors."""
    critic: Path | None
    """learner.safetensors, for the best of several samples."""
    best_of: int
    """Samples per plan."""

    def digests(self) -> dict[str, str]:
        """What lines keep, so that they can be told from those of a policy that was trained anew: sha256 of the files.

        Raises:
            OSError: a file is not there.
        """
        files = {'policy_sha256': self.policy, 'critic_sha256': self.critic}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in files.items()
            if path is not None
        }


def seed_folder(folder: Path, task: str, seed: int) -> Path:
    """What all methods of a task and seed have."""
    return folder / 'runs' / f'{task}_{seed}'


def method_folder(folder: Path, task: str, seed: int, method: str) -> Path:
    """Checkpoints and data of one method."""
    return seed_folder(folder, task, seed) / method.replace(',', '').replace(' ', '_')


def actor_of(folder: Path, job: Job) -> Actor:
    """The actor of a line of the comparison in `folder`."""
    entry = ENTRIES[job.method]

    def file(method: str, name: str) -> Path:
        run = method_folder(folder, job.task, job.seed, method)
        return run / 'checkpoints' / f'round_{job.round}' / name

    policy = file(entry.policy_of or job.method, 'policy.safetensors')
    critic = file(entry.critic_of, 'learner.safetensors') if entry.best_of > 1 else None
    return Actor(policy, critic, entry.best_of)
