"""Keeps room on the robot's disk: what the store has verified goes, oldest first; then warn; then begin no episode."""

from __future__ import annotations

from dataclasses import dataclass

from lwd_recorder.spool.journal import State
from lwd_recorder.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """How much of the disk stays free, and what may stay on it."""

    warn_free_bytes: int = 2 << 30
    """Below this free space delivered episodes go, and what then still lacks is warned of, bytes."""
    min_free_bytes: int = 512 << 20
    """Below this free space no new episode is begun; the one under way is never touched, bytes."""
    keep_committed: int = 0
    """Newest delivered episodes whose local copy stays while there is room."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much room there is."""

    free_bytes: int
    """Bytes free on the spool's file system."""
    level: str
    """ok, warn or full."""
    text: str
    """What is the matter and what helps; empty when ok."""
    freed: tuple[str, ...] = ()
    """Episodes whose local copy was removed just now."""
    stuck: str = ''
    """Which local copies cannot be removed, and why; empty when all that were to go have gone."""


def make_room(spool: Spool, config: RoomConfig) -> Room:
    """Remove local copies of delivered episodes: all but the newest few, and those, too, where space is short.

    One that cannot be removed is named, and keeps nobody from the others.

    Raises:
        SpoolError: the journal refuses.
        OSError: the disk does not say how much is free.
    """
    freed, stuck = [], []
    committed = spool.entries(State.COMMITTED)
    spare = len(committed) - config.keep_committed
    for index, entry in enumerate(committed):
        if index >= spare and spool.free_bytes() >= config.warn_free_bytes:
            break
        try:
            if spool.delete_local(entry.episode_id):
                freed.append(entry.episode_id)
        except OSError as error:
            stuck.append(f'{spool.folder(entry.episode_id)} ({error})')
    free_bytes = spool.free_bytes()
    level, texts = 'ok', []
    if free_bytes < config.min_free_bytes:
        level = 'full'
        texts.append(
            f'disk full: {free_bytes >> 20} MiB free at {spool.root}, '
            f'{config.min_free_bytes >> 20} MiB needed for a new episode (min_free_bytes); '
            f'{spool.backlog()} episodes wait for the store'
        )
    elif free_bytes < config.warn_free_bytes:
        level = 'warn'
        texts.append(
            f'disk nearly full: {free_bytes >> 20} MiB free at {spool.root}, '
            f'{spool.backlog()} episodes wait for the store; below {config.min_free_bytes >> 20} MiB '
            'no new episode is begun (min_free_bytes)'
        )
    why = ''
    if stuck:
        level = 'warn' if level == 'ok' else level
        why = (
            f'{len(stuck)} local copies that the store has verified cannot be removed: {stuck[0]}; '
            'see to its owner and file system, or remove it by hand'
        )
        texts.append(why)
    return Room(free_bytes, level, '. '.join(texts), tuple(freed), why)
