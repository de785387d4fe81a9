"""Puts imported episodes into a replay: each once, refusals set apart with their reason, one writer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lwd_learner.interop.errors import InteropError
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.replay import Replay

COMMIT_FRAMES = 2_000
"""A snapshot is committed once so many frames wait: a minute, so that memory stays small."""
UNFORESEEN = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What reading an episode raises when it is malformed where nobody thought of it, or a file of it is missing."""

Pending = tuple[str, Callable[[], EpisodeFrames]]
"""An episode's id, and what reads it."""


@dataclass(slots=True)
class Imported:
    """What became of the episodes of a source."""

    taken: int = 0
    known: int = 0
    """They were there already."""
    frames: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Reason by episode id."""


def import_episodes(
    replay: Replay, episodes: Iterable[Pending], on_episode: Callable[[], None] = lambda: None
) -> Imported:
    """Read and append what the replay does not hold yet; a refused episode does not stop the others.

    Demonstrations and play go offline, roll-outs (of our own exports) online, as in ingest.
    """
    result = Imported()
    waiting: dict[str, list[EpisodeFrames]] = {'offline': [], 'online': []}

    def commit(least: int) -> None:
        for dataset, frames in waiting.items():
            rows = sum(len(episode) for episode in frames)
            if rows >= least and frames:
                replay.append(dataset, frames)
                result.taken += len(frames)
                result.frames += rows
                frames.clear()

    for episode_id, read in episodes:
        here = {frames.episode_id for of in waiting.values() for frames in of}
        if replay.has_episode(episode_id) or episode_id in here:
            result.known += 1
        else:
            try:
                episode = read()
                episode.check(replay.layout)
            except (InteropError, ReplayError) as error:
                result.refused[episode_id] = str(error)
            except UNFORESEEN as error:
                result.refused[episode_id] = f'{type(error).__name__}: {error}'
            else:
                waiting['online' if episode.kind == 'rollout' else 'offline'].append(episode)
                commit(COMMIT_FRAMES)
        on_episode()
    commit(1)
    replay.maybe_compact()
    return result
