"""What a replay holds, in numbers: hours, labels, sources, rates, gaps, duplicates, action statistics."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.index import EpisodeFacts, FrameIndex
from lwd_learner.replay.layout import (
    DATASETS,
    SOURCE_ESTOP,
    SOURCE_HOLD,
    SOURCE_HUMAN,
    SOURCE_POLICY,
    ReplayLayout,
)
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.segments import GAP_PERIODS
from lwd_learner.replay.transitions import Transitions

SOURCE_NAMES = {
    SOURCE_HOLD: 'hold',
    SOURCE_POLICY: 'policy',
    SOURCE_HUMAN: 'human',
    SOURCE_ESTOP: 'estop',
}
ACTION_SAMPLE_ROWS = 200_000
"""Rows that action statistics are made from, spread evenly, so that they stay quick on millions."""


def replay_stats(replay: Replay) -> dict[str, Any]:
    """Figures by data set, ready for JSON."""
    return {
        'uri': replay.uri,
        'profile': replay.layout.profile,
        'control_rate_hz': replay.layout.control_rate_hz,
        'cameras': list(replay.layout.cameras),
        'datasets': {name: _dataset(replay, name) for name in DATASETS},
    }


def content_hash(index: FrameIndex, episode: EpisodeFacts) -> str:
    """Digest of an episode's states and actions: equal for the same motion recorded under two ids."""
    rows = np.arange(episode.start, episode.stop)
    low = index.low.take_all({'state': rows, 'action': rows})
    digest = hashlib.sha256(low['state'].tobytes())
    digest.update(low['action'].tobytes())
    return digest.hexdigest()


def _dataset(replay: Replay, name: str) -> dict[str, Any]:
    index, layout = replay.index(name), replay.layout
    episodes = replay.kept(name)
    frames = sum(episode.stop - episode.start for episode in episodes)
    return {
        'version': replay.version(name),
        'episodes': len(episodes),
        'pruned': len(replay.episodes(name)) - len(episodes),
        'frames': frames,
        'hours': frames * layout.period_s / 3600,
        'images': sum(int(_fresh(index, episode).sum()) for episode in episodes),
        'starts': len(Transitions(replay, 1).starts(name)),
        'outcomes': _count(episode.outcome for episode in episodes),
        'success_by_version': _by_version(index, episodes),
        'hours_by_task_and_source': _hours_by_source(index, episodes, layout),
        'rates_hz': _rates(index, episodes, layout),
        **_gaps(index, episodes, layout),
        'duplicates': _duplicates(index, episodes),
        'actions': _actions(index, episodes, layout),
        **_groups(index, episodes, layout),
    }


def _groups(
    index: FrameIndex, episodes: list[EpisodeFacts], layout: ReplayLayout
) -> dict[str, dict[str, dict[str, Any]]]:
    """Episodes, their verdicts and hours, by task, kind and robot."""
    groups: dict[str, dict[str, dict[str, Any]]] = {
        by: defaultdict(
            lambda: {'episodes': 0, 'success': 0, 'failure': 0, 'hours': 0.0, 'human_hours': 0.0}
        )
        for by in ('task', 'kind', 'robot_id')
    }
    for episode in episodes:
        rows = slice(episode.start, episode.stop)
        human = int((index.source.data[rows] == SOURCE_HUMAN).sum())
        for by, group in groups.items():
            entry = group[getattr(episode, by)]
            entry['episodes'] += 1
            entry['success'] += episode.outcome == 'success' and episode.kind != 'play'
            entry['failure'] += episode.outcome == 'failure' or episode.kind == 'play'
            entry['hours'] += (episode.stop - episode.start) * layout.period_s / 3600
            entry['human_hours'] += human * layout.period_s / 3600
    return {f'by_{by.removesuffix("_id")}': dict(group) for by, group in groups.items()}


def _hours_by_source(
    index: FrameIndex, episodes: list[EpisodeFacts], layout: ReplayLayout
) -> dict[str, dict[str, float]]:
    """Hours by task of demonstrations, play, and of a roll-out's policy, human, hold and e-stop ticks."""
    out: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for episode in episodes:
        sources = index.source.data[episode.start : episode.stop]
        if episode.kind != 'rollout':
            ticks = {episode.kind: len(sources)}
        else:
            values, counts = np.unique(sources, return_counts=True)
            ticks = {
                SOURCE_NAMES.get(value, f'source {value}'): count
                for value, count in zip(values.tolist(), counts.tolist(), strict=True)
            }
        for source, count in ticks.items():
            out[episode.task][source] += count * layout.period_s / 3600
    return {task: dict(hours) for task, hours in out.items()}


def _rates(
    index: FrameIndex, episodes: list[EpisodeFacts], layout: ReplayLayout
) -> dict[str, dict[str, float]]:
    """Lowest, median and highest rate over episodes: of the rows, and of each camera's new frames."""
    names = ('control', *layout.cameras)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for episode in episodes:
        for name, rate in zip(names, episode_rates(index, episode, layout), strict=True):
            measured[name].append(rate)
    return {
        name: {
            'min': float(np.min(rates)),
            'median': float(np.median(rates)),
            'max': float(np.max(rates)),
        }
        for name, rates in measured.items()
        if rates
    }


def episode_rates(index: FrameIndex, episode: EpisodeFacts, layout: ReplayLayout) -> list[float]:
    """Hz of the rows (by the median step, so that gaps do not count), then of each camera's new frames per row time."""
    rows = slice(episode.start, episode.stop)
    steps = np.diff(index.stamp_s.data[rows])
    period_s = float(np.median(steps)) if len(steps) else layout.period_s
    fresh = _fresh(index, episode)
    seconds = (episode.stop - episode.start) * layout.period_s
    return [1.0 / max(period_s, 1e-9), *(fresh.sum(axis=0) / seconds).tolist()]


def _fresh(index: FrameIndex, episode: EpisodeFacts) -> npt.NDArray[np.bool_]:
    """(T, C) whether a row brought a new frame of a camera."""
    rows = np.arange(episode.start, episode.stop)
    fresh: npt.NDArray[np.bool_] = index.camera_row.data[rows] == rows[:, None]
    return fresh


def _gaps(
    index: FrameIndex, episodes: list[EpisodeFacts], layout: ReplayLayout
) -> dict[str, float]:
    steps = [np.diff(index.stamp_s.data[e.start : e.stop]) for e in episodes]
    every = np.concatenate(steps) if steps else np.empty(0)
    gaps = every[every > GAP_PERIODS * layout.period_s]
    return {
        'gaps': len(gaps),
        'longest_gap_s': float(gaps.max(initial=0.0)),
        'missing_s': float((gaps - layout.period_s).sum()),
    }


def _duplicates(index: FrameIndex, episodes: list[EpisodeFacts]) -> list[list[str]]:
    """Groups of episode ids whose states and actions are the same, byte for byte."""
    groups: dict[str, list[str]] = defaultdict(list)
    for episode in episodes:
        groups[content_hash(index, episode)].append(episode.episode_id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _actions(
    index: FrameIndex, episodes: list[EpisodeFacts], layout: ReplayLayout
) -> dict[str, dict[str, float]]:
    """Per joint: mean, spread, range and quantiles of the executed action (rad; grippers 0..1)."""
    if not episodes:
        return {}
    rows = np.concatenate([np.arange(e.start, e.stop) for e in episodes])
    every = max(1, len(rows) // ACTION_SAMPLE_ROWS)
    sample = index.action.take(rows[::every]).astype(np.float64)
    least, most = _range(index, rows)
    figures: dict[str, npt.NDArray[np.floating[Any]]] = {
        'mean': sample.mean(axis=0),
        'std': sample.std(axis=0),
        'min': least,
        'max': most,
        'q01': np.quantile(sample, 0.01, axis=0),
        'q99': np.quantile(sample, 0.99, axis=0),
    }
    return {
        joint: {name: float(values[column]) for name, values in figures.items()}
        for column, joint in enumerate(layout.joint_names)
    }


def _range(
    index: FrameIndex, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Least and greatest action of each joint, a part of the rows in memory at once."""
    parts = [
        index.action.take(rows[start : start + ACTION_SAMPLE_ROWS])
        for start in range(0, len(rows), ACTION_SAMPLE_ROWS)
    ]
    least = np.min([part.min(axis=0) for part in parts], axis=0)
    return least, np.max([part.max(axis=0) for part in parts], axis=0)


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _by_version(index: FrameIndex, episodes: list[EpisodeFacts]) -> dict[str, dict[str, int]]:
    """Episodes and successes of each policy version, counted at the version of an episode's first policy step."""
    out: dict[str, dict[str, int]] = {}
    for episode in episodes:
        rows = slice(episode.start, episode.stop)
        own = index.policy_version.data[rows][index.source.data[rows] == SOURCE_POLICY]
        if len(own):
            entry = out.setdefault(str(int(own[0])), {'n': 0, 'k': 0})
            entry['n'] += 1
            entry['k'] += episode.outcome == 'success'
    return out
