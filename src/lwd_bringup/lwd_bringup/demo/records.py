"""Read what the learner writes about the loop: status.json, metrics, ingest and weights records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def read_status(run: Path) -> dict[str, Any]:
    """The learner's status.json, {} before it exists."""
    path = run / 'status.json'
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class JsonLines:
    """A growing file of one JSON object a line, read a piece at a time; a torn last line waits for its rest."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    _offset: int = 0

    def refresh(self) -> list[dict[str, Any]]:
        """Take in what was added; return all rows so far."""
        if self.path.exists():
            with self.path.open('rb') as file:
                file.seek(self._offset)
                data = file.read()
            whole = data[: data.rfind(b'\n') + 1]
            self._offset += len(whole)
            self.rows.extend(json.loads(line) for line in whole.splitlines() if line.strip())
        return self.rows


@dataclass(slots=True)
class Records:
    """All records of one run."""

    run: Path
    ingest: JsonLines = field(init=False)
    weights: JsonLines = field(init=False)
    metrics: JsonLines = field(init=False)

    def __post_init__(self) -> None:
        self.ingest = JsonLines(self.run / 'ingest.jsonl')
        self.weights = JsonLines(self.run / 'weights.jsonl')
        self.metrics = JsonLines(self.run / 'metrics.jsonl')

    def refresh(self) -> None:
        """Read what was added to each file."""
        for lines in (self.ingest, self.weights, self.metrics):
            lines.refresh()


def sampleable_s(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """Seconds from an episode's end to its first possible sampling, of every ingest row that has both."""
    return [
        row['sampleable_wall_s'] - row['ended_wall_s']
        for row in rows
        if not row.get('duplicate') and row.get('sampleable_wall_s') and row.get('ended_wall_s')
    ]


def loaded_s(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """Seconds from publication to loading, of every robot that was up when the version was published."""
    return [
        row['loaded_wall_s'] - row['published_wall_s']
        for row in rows
        if row.get('event') == 'loaded' and row.get('loaded_wall_s') and row.get('present', True)
    ]


def percentile(values: list[float], share: float) -> float | None:
    """Nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: list[float]) -> dict[str, float | int | None]:
    """{p50, p99, n} of a list of seconds."""
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return {
        'p50': None if p50 is None else round(p50, 3),
        'p99': None if p99 is None else round(p99, 3),
        'n': len(values),
    }
