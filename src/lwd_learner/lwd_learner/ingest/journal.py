"""ingest.jsonl: one line for each manifest dealt with, for people, the live view and a restarted ingest."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of one delivered manifest."""

    episode_id: str
    robot_id: str
    dataset: str | None
    """offline or online; None when quarantined."""
    frames: int
    """Rows in the replay."""
    outcome: str
    ended_wall_s: float
    """Wall clock when the episode ended, s."""
    committed_wall_s: float
    """Wall clock when its manifest was uploaded, s."""
    sampleable_wall_s: float
    """Wall clock when a sampler could draw it, s; 0 when quarantined."""
    version: int
    """Snapshot version that holds it; 0 when quarantined."""
    duplicate: bool
    """Delivered again; the replay was not changed."""
    quarantined: str | None
    """Why it was refused."""
    key: str
    """Key of its manifest in the store."""
    key_mtime_s: float
    """When that object was written, by the store's clock, s."""


class Journal:
    """Append-only log that tolerates a last line torn by a crash."""

    def __init__(self, path: Path) -> None:
        """Open, or begin, the journal at `path`."""
        self.path = path
        self.results: list[IngestResult] = []
        names = {field.name for field in fields(IngestResult)}
        if path.is_file():
            whole = 0
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b'\n'):
                    os.truncate(path, whole)
                    break
                whole += len(line)
                entry = json.loads(line)
                self.results.append(IngestResult(**{k: v for k, v in entry.items() if k in names}))

    def add(self, result: IngestResult) -> None:
        """Append one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('ab') as file:
            file.write(json.dumps(asdict(result)).encode() + b'\n')
        self.results.append(result)
