"""What people changed of a replay afterwards: verdicts corrected, episodes taken out.

Rows are never rewritten for it. An amendment is a row of a third Lance data set, `amendments.lance`, beside the offline
and the online one. Each commit is a version: opened at an older one, a replay shows the older verdicts. The last one
of an episode holds. Row numbers, features computed for rows, and other readers' snapshots stay good.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from lwd_learner.replay.frames import OUTCOMES
from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.storage import dataset_exists, open_dataset, write_dataset

AMENDMENTS = 'amendments'
"""Name of this part in a replay's snapshot."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change to one episode."""

    episode_id: str
    before: str
    """The outcome until now."""
    outcome: str
    """The outcome from now on."""
    pruned: bool
    """Whether it is out of the replay from now on."""
    freed: bool
    """Whether its images were deleted too."""
    by: str
    """Who said so."""
    why: str
    at_wall_s: float
    """When, s since the epoch."""


_TYPES = {'str': pa.string(), 'bool': pa.bool_(), 'float': pa.float64()}
_SCHEMA = pa.schema([pa.field(of.name, _TYPES[str(of.type)]) for of in fields(Amendment)])


class AmendmentLog:
    """The amendments up to one version; 0 is before the first."""

    def __init__(self, uri: str, version: int | None = None) -> None:
        """Open at `version`, default the newest.

        Raises:
            ReplayError: there is no such version.
        """
        self._uri = uri
        self.version = 0
        self.entries: list[Amendment] = []
        self.latest: dict[str, Amendment] = {}
        """Per episode id, what holds."""
        self.refresh(version)

    @property
    def latest_version(self) -> int:
        """The newest version that was committed."""
        return int(open_dataset(self._uri).version) if dataset_exists(self._uri) else 0

    def refresh(self, version: int | None = None) -> bool:
        """Move to `version` (default the newest); answers whether there was anything new.

        Raises:
            ReplayError: `version` is older than the one in use, or does not exist.
        """
        newest = self.latest_version
        target = newest if version is None else version
        if not self.version <= target <= newest:
            raise ReplayError(
                f'{self._uri}: cannot move from version {self.version} to {target} (newest {newest})'
            )
        if target == self.version:
            return False
        rows = open_dataset(self._uri, target).to_table().slice(len(self.entries)).to_pylist()
        self._take([Amendment(**row) for row in rows], target)
        return True

    def append(self, amendments: Sequence[Amendment]) -> int:
        """Commit as one version; answers it. The caller has just refreshed and holds the replay's commit lock."""
        table = pa.Table.from_pylist([asdict(entry) for entry in amendments], schema=_SCHEMA)
        mode = 'append' if self.version else 'create'
        committed: Any = write_dataset(table, self._uri, mode)
        self._take(amendments, int(committed.version))
        return self.version

    def _take(self, amendments: Sequence[Amendment], version: int) -> None:
        self.entries += amendments
        self.latest.update({entry.episode_id: entry for entry in amendments})
        self.version = version


def amendment(
    episode_id: str,
    before: str,
    outcome: str,
    *,
    pruned: bool = False,
    freed: bool = False,
    by: str = '',
    why: str = '',
) -> Amendment:
    """An amendment of now, by the user of this process where nobody is named.

    Raises:
        ReplayError: an outcome that does not exist.
    """
    if outcome not in OUTCOMES:
        raise ReplayError(f'{episode_id}: outcome {outcome!r}; known: {", ".join(OUTCOMES)}')
    return Amendment(episode_id, before, outcome, pruned, freed, by or _user(), why, time.time())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return 'unknown'
