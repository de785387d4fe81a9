"""results.jsonl: one line per task, method, seed and round; and the configuration that it belongs to."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.methods.config import CompareConfig
from bench.methods.queue import Key

FREE = (
    'folder',
    'tasks',
    'seeds',
    'methods',
    'workers',
    'threads',
    'offline_only',
    'test_every_round',
)
"""Fields that may differ when a comparison is gone on with: they add lines, and change none."""


CONFIRMED = 'confirmed.jsonl'
"""Lines of policies that were evaluated once more, on other scenes (`confirm`)."""


DIGESTS = ('policy_sha256', 'critic_sha256')
"""Of the files that a line was evaluated with; the critic's only where it chose. Older lines have neither."""


class Kinship(enum.Enum):
    """Whether two lines are of the same policy."""

    SAME = enum.auto()
    UNKNOWN = enum.auto()
    OTHER = enum.auto()


def kinship(one: dict[str, Any], other: dict[str, Any]) -> Kinship:
    """What the digests of two lines of one task, method, seed and round say."""
    known = [(one[name], other[name]) for name in DIGESTS if name in one and name in other]
    if any(a != b for a, b in known):
        return Kinship.OTHER
    return Kinship.SAME if known else Kinship.UNKNOWN


def key_of(line: dict[str, Any]) -> Key:
    """What names a line."""
    return line['task'], line['method'], line['seed'], line['round']


class Results:
    """Reads and appends lines."""

    def __init__(self, folder: Path, name: str = 'results.jsonl') -> None:
        """Of one comparison's folder."""
        self._folder = folder
        self._path = folder / name

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines; one that a kill cut off is left out."""
        text = self._path.read_text() if self._path.exists() else ''
        whole = [line for line in text.splitlines(keepends=True) if line.endswith('\n')]
        return [json.loads(line) for line in whole]

    def done(self) -> set[Key]:
        """Keys that have a line."""
        return {key_of(line) for line in self.lines()}

    def add(self, line: dict[str, Any]) -> None:
        """Append a line; what a kill left of one is dropped first."""
        kept = ''.join(json.dumps(line) + '\n' for line in [*self.lines(), line])
        partial = self._path.with_suffix('.partial')
        partial.write_text(kept)
        partial.replace(self._path)

    def settings(self) -> dict[str, Any]:
        """The configuration that the lines belong to; empty before the first."""
        path = self._folder / 'config.json'
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def claim(self, config: CompareConfig) -> None:
        """Write the configuration, or check that it is the folder's.

        Raises:
            ValueError: the folder is of another comparison; names the difference.
        """
        path = self._folder / 'config.json'
        mine = {k: v for k, v in asdict(config).items() if k not in FREE}
        self._folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(mine, indent=1) + '\n')
        theirs = self.settings()
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                raise ValueError(
                    f'{self._folder} is of a comparison with {name} {theirs.get(name)!r}, not '
                    f'{mine.get(name)!r}: give the same value, or another --folder'
                )
