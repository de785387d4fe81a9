"""A run's folder: its configuration, the state of its last checkpoint and its results as JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stood."""

    update: int
    """Updates done."""
    wall_s: float
    """Wall time of updates so far, evaluations apart."""
    cpu_s: float
    """CPU time of the same."""
    tensors: dict[str, Tensor]
    """State of the agent."""


class RunFolder:
    """Reads and writes one."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        """Start a folder, or go on with one.

        Raises:
            ValueError: the folder is of a run with another configuration.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / 'config.json'
        if not path.exists():
            path.write_text(json.dumps(config, indent=1) + '\n')
        kept = json.loads(path.read_text())
        for name in sorted(kept.keys() | config.keys()):
            if kept.get(name) != config.get(name):
                raise ValueError(
                    f'{folder} is of a run with {name} {kept.get(name)!r}, not {config.get(name)!r}: '
                    'give the same value, or another --folder'
                )

    def load(self) -> Checkpoint | None:
        """The last checkpoint, if any; results behind it are dropped, since they will be made again."""
        path = self.folder / 'state.safetensors'
        if not path.exists():
            (self.folder / 'results.jsonl').unlink(missing_ok=True)
            return None
        with safetensors.safe_open(str(path), framework='pt') as file:
            header = file.metadata()
        update = int(header['update'])
        lines = [line for line in self.results() if line['update'] <= update]
        self._replace('results.jsonl', ''.join(json.dumps(line) + '\n' for line in lines).encode())
        tensors = safetensors.torch.load_file(str(path))
        return Checkpoint(update, float(header['wall_s']), float(header['cpu_s']), tensors)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, whole or not at all."""
        header = {name: repr(getattr(checkpoint, name)) for name in ('update', 'wall_s', 'cpu_s')}
        self._replace(
            'state.safetensors', safetensors.torch.save(checkpoint.tensors, metadata=header)
        )

    def add(self, line: dict[str, Any]) -> None:
        """Add a result, with its `update`."""
        with (self.folder / 'results.jsonl').open('a') as file:
            file.write(json.dumps(line) + '\n')

    def results(self) -> list[dict[str, Any]]:
        """All results."""
        return read_results(self.folder)

    def _replace(self, name: str, content: bytes) -> None:
        partial = self.folder / f'{name}.partial'
        partial.write_bytes(content)
        partial.replace(self.folder / name)


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results of a run; a last line that was cut off is left out."""
    path = folder / 'results.jsonl'
    text = path.read_text() if path.exists() else ''
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]
