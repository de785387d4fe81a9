"""The spool's journal: one row an episode, one durable SQLite file that recorder and uploaders share.

Every change is one transaction, flushed before the call returns (WAL, synchronous=FULL): after a power cut the journal
says what was true, and `Spool.recover` brings the folders in line with it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from lwd_recorder.spool.reserve import Reserve

_VERSION = 2
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS episodes (
  episode_id     TEXT PRIMARY KEY,
  state          TEXT NOT NULL,
  reason         TEXT NOT NULL DEFAULT '',
  attempts       INTEGER NOT NULL DEFAULT 0,
  opened_wall_s  REAL NOT NULL,
  changed_wall_s REAL NOT NULL,
  profile        TEXT NOT NULL DEFAULT '',
  urgent         INTEGER NOT NULL DEFAULT 0,
  claimed_by     TEXT NOT NULL DEFAULT ''
) STRICT
""",
    """
CREATE TABLE IF NOT EXISTS uploads (
  object     TEXT PRIMARY KEY,
  upload_id  TEXT NOT NULL,
  part_bytes INTEGER NOT NULL
) STRICT
""",
)
_ADDED = {  # since version 1
    'profile': "TEXT NOT NULL DEFAULT ''",
    'urgent': 'INTEGER NOT NULL DEFAULT 0',
    'claimed_by': "TEXT NOT NULL DEFAULT ''",
}
_BUSY_S = 10.0
_RETRY_S = 0.01


class SpoolError(Exception):
    """The spool cannot do what was asked; the message names the episode and its state."""


class State(StrEnum):
    """Where an episode is on its way off the robot."""

    OPEN = 'open'
    CLOSED = 'closed'
    UPLOADING = 'uploading'
    COMMITTED = 'committed'
    DELETED = 'deleted'
    QUARANTINED = 'quarantined'


_ALLOWED = {
    State.OPEN: {State.CLOSED, State.QUARANTINED},
    State.CLOSED: {State.UPLOADING, State.QUARANTINED},
    State.UPLOADING: {State.UPLOADING, State.COMMITTED, State.QUARANTINED},
    State.COMMITTED: {State.DELETED},
    State.DELETED: set(),
    State.QUARANTINED: {State.OPEN},  # taken back to be repaired
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal."""

    episode_id: str
    """The episode."""
    state: State
    """Where it is."""
    reason: str
    """Why it is quarantined, or why the last upload or repair failed."""
    attempts: int
    """Uploads begun."""
    opened_wall_s: float
    """Wall clock when it was opened, s since the epoch."""
    changed_wall_s: float
    """Wall clock of the last change of state, s since the epoch."""
    profile: str
    """Robot profile's name."""
    urgent: bool
    """Goes before others: a roll-out that failed, or in which a human had to take over."""
    claimed_by: str
    """Who works on it, an uploader or a repair; empty when nobody does. See `Owner`."""


_COLUMNS = ', '.join(field.name for field in fields(Entry))


class Journal:
    """States of episodes in one SQLite file. One object a thread."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; one of an earlier version gets what it lacks.

        Raises:
            SpoolError: it cannot be opened, is no journal, or was written by a later version.
        """
        self.path = path
        self._reserve = Reserve(path.parent)
        self._reserve.keep()
        try:
            self._database = _open(path)
            self._database.execute('PRAGMA synchronous=FULL')
            self._migrate()
        except sqlite3.Error as error:
            raise SpoolError(f'{path}: the journal cannot be opened: {error}') from error

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def add(self, episode_id: str, profile: str = '') -> None:
        """Enter a new episode as open.

        Raises:
            SpoolError: the id is known already, in whatever state.
        """
        now_s = time.time()
        with self._transaction():
            known = self._find(episode_id)
            if known is not None:
                raise SpoolError(
                    f'episode {episode_id} is in the spool already ({known.state}); '
                    'an id is recorded once'
                )
            self._database.execute(
                'INSERT INTO episodes (episode_id, state, opened_wall_s, changed_wall_s, profile) '
                'VALUES (?, ?, ?, ?, ?)',
                (episode_id, State.OPEN, now_s, now_s, profile),
            )

    def change(
        self, episode_id: str, state: State, reason: str = '', urgent: bool | None = None
    ) -> None:
        """Move an episode to another state.

        Raises:
            SpoolError: the id is unknown, or the step is not one that episodes take.
        """
        with self._transaction():
            known = self._known(episode_id)
            if state not in _ALLOWED[known.state]:
                raise SpoolError(
                    f'episode {episode_id} is {known.state}; it cannot become {state}'
                )
            self._database.execute(
                'UPDATE episodes SET state = ?, reason = ?, changed_wall_s = ?, '
                'attempts = attempts + ?, urgent = ? WHERE episode_id = ?',
                (
                    state,
                    reason,
                    time.time(),
                    int(state is State.UPLOADING),
                    int(known.urgent if urgent is None else urgent),
                    episode_id,
                ),
            )

    def claim(self, episode_id: str, owner: str, is_alive: Callable[[str], bool]) -> Entry | None:
        """Take an episode for one owner, unless another living one has it.

        Args:
            episode_id: the episode.
            owner: who takes it.
            is_alive: whether another owner still works.

        Returns:
            The episode as it is now, or None when another has it.
        """
        with self._transaction():
            known = self._known(episode_id)
            if known.claimed_by not in ('', owner) and is_alive(known.claimed_by):
                return None
            self._database.execute(
                'UPDATE episodes SET claimed_by = ? WHERE episode_id = ?', (owner, episode_id)
            )
            return self._known(episode_id)

    def release(self, episode_id: str, owner: str) -> None:
        """Give an episode back, if it is this owner's."""
        with self._transaction():
            self._database.execute(
                "UPDATE episodes SET claimed_by = '' WHERE episode_id = ? AND claimed_by = ?",
                (episode_id, owner),
            )

    def set_urgent(self, episode_id: str, urgent: bool) -> None:
        """Let an episode go before others, or not any more; the state stays."""
        with self._transaction():
            self._database.execute(
                'UPDATE episodes SET urgent = ? WHERE episode_id = ?', (int(urgent), episode_id)
            )

    def note(self, episode_id: str, reason: str) -> None:
        """Keep the reason of a failure; the state stays."""
        with self._transaction():
            self._database.execute(
                'UPDATE episodes SET reason = ? WHERE episode_id = ?', (reason, episode_id)
            )

    def find(self, episode_id: str) -> Entry | None:
        """Return an episode's row, or None."""
        with self._errors():
            return self._find(episode_id)

    def entries(self, *states: State) -> list[Entry]:
        """Return the rows in these states (all when none is named), oldest first."""
        chosen = states or tuple(State)
        marks = ', '.join('?' * len(chosen))
        with self._errors():
            rows = self._database.execute(
                f'SELECT {_COLUMNS} FROM episodes WHERE state IN ({marks}) ORDER BY rowid', chosen
            )
            return [_entry(row) for row in rows]

    def count(self, *states: State) -> int:
        """Return how many episodes are in these states."""
        marks = ', '.join('?' * len(states))
        with self._errors():
            row = self._database.execute(
                f'SELECT count(*) FROM episodes WHERE state IN ({marks})', states
            ).fetchone()
            return int(row[0])

    def upload(self, name: str) -> tuple[str, int] | None:
        """Return the id and the part size, bytes, of an object's upload under way; see `UploadLog`."""
        with self._errors():
            row = self._database.execute(
                'SELECT upload_id, part_bytes FROM uploads WHERE object = ?', (name,)
            ).fetchone()
            return None if row is None else (str(row[0]), int(row[1]))

    def keep_upload(self, name: str, upload_id: str, part_bytes: int) -> None:
        """Remember an upload under way; see `UploadLog`."""
        with self._transaction():
            self._database.execute(
                'INSERT OR REPLACE INTO uploads VALUES (?, ?, ?)', (name, upload_id, part_bytes)
            )

    def drop_upload(self, name: str) -> None:
        """Forget an upload; see `UploadLog`."""
        with self._transaction():
            self._database.execute('DELETE FROM uploads WHERE object = ?', (name,))

    def _migrate(self) -> None:
        (version,) = self._database.execute('PRAGMA user_version').fetchone()
        if version > _VERSION:
            raise SpoolError(
                f'{self.path}: written by a later version ({version}, known: {_VERSION}); '
                'update lwd_recorder'
            )
        if version == _VERSION:
            return
        with self._transaction():
            for table in _TABLES:
                self._database.execute(table)
            there = {row[1] for row in self._database.execute('PRAGMA table_info(episodes)')}
            for column, kind in _ADDED.items():
                if column not in there:
                    self._database.execute(f'ALTER TABLE episodes ADD COLUMN {column} {kind}')
            self._database.execute(f'PRAGMA user_version = {_VERSION}')

    def _find(self, episode_id: str) -> Entry | None:
        row = self._database.execute(
            f'SELECT {_COLUMNS} FROM episodes WHERE episode_id = ?', (episode_id,)
        ).fetchone()
        return None if row is None else _entry(row)

    def _known(self, episode_id: str) -> Entry:
        known = self._find(episode_id)
        if known is None:
            raise SpoolError(f'episode {episode_id} is not in the spool at {self.path.parent}')
        return known

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._reserve.keep()
        with self._errors():
            self._database.execute('BEGIN IMMEDIATE')
            try:
                yield
            except BaseException:
                self._database.execute('ROLLBACK')
                raise
            self._database.execute('COMMIT')

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SpoolError(f'{self.path}: {error}') from error


def _entry(row: tuple[str, str, str, int, float, float, str, int, str]) -> Entry:
    return Entry(row[0], State(row[1]), *row[2:7], bool(row[7]), row[8])


def _open(path: Path) -> sqlite3.Connection:
    """Open in WAL mode.

    Of several that make a new file at once all but one are told that it is busy, at once: SQLite does not wait here,
    whatever the timeout.
    """
    give_up_s = time.monotonic() + _BUSY_S
    while True:
        database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            database.execute('PRAGMA journal_mode=WAL')
        except sqlite3.OperationalError as error:
            database.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(_RETRY_S)
        else:
            return database
