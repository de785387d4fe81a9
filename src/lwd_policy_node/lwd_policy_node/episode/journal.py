"""A small file that survives the process: which episode runs, which scene comes next.

After `kill -9` the next process finds the episode that was left running, closes it as aborted and
goes on with the next scene instead of repeating old ones.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lwd_policy_node.episode.record import EpisodeRecord, Outcome


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`scenes` used so far and the episode left running, if any."""

    scenes: int = 0
    running: EpisodeRecord | None = None


class EpisodeJournal:
    """One JSON file, replaced atomically."""

    def __init__(self, path: Path) -> None:
        """Keep the journal at `path`; its folder is made."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, entry: JournalEntry) -> None:
        """Replace the journal."""
        text = json.dumps(
            {
                'scenes': entry.scenes,
                'running': None if entry.running is None else asdict(entry.running),
            }
        )
        draft = self.path.with_suffix('.tmp')
        draft.write_text(text)
        draft.replace(self.path)

    def read(self) -> tuple[JournalEntry, str]:
        """The last entry and what was wrong with the file; a damaged file is an empty entry."""
        try:
            raw = json.loads(self.path.read_text())
            running = raw['running']
            if running is not None:
                running = EpisodeRecord(**{**running, 'outcome': Outcome(running['outcome'])})
            return JournalEntry(scenes=int(raw['scenes']), running=running), ''
        except FileNotFoundError:
            return JournalEntry(), ''
        except (OSError, ValueError, KeyError, TypeError) as error:
            return JournalEntry(), f'{self.path}: {type(error).__name__}: {error}; starting afresh'
