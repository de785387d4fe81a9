"""What a replay holds, in numbers: episodes, hours, labels, sources, gaps."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from lwd_learner.replay.layout import SOURCE_HUMAN, SOURCE_POLICY
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.segments import GAP_PERIODS
from lwd_learner.replay.transitions import Transitions


def replay_stats(replay: Replay) -> dict[str, Any]:
    """Figures by data set, ready for JSON."""
    return {
        'uri': replay.uri,
        'profile': replay.layout.profile,
        'control_rate_hz': replay.layout.control_rate_hz,
        'cameras': list(replay.layout.cameras),
        'datasets': {name: _dataset(replay, name) for name in replay.snapshot()},
    }


def _dataset(replay: Replay, name: str) -> dict[str, Any]:
    index = replay.index(name)
    period_s = replay.layout.period_s
    groups: dict[str, dict[str, dict[str, Any]]] = {
        by: defaultdict(lambda: {'episodes': 0, 'success': 0, 'hours': 0.0, 'human_hours': 0.0})
        for by in ('task', 'kind', 'robot_id')
    }
    gaps = 0
    for episode in replay.episodes(name):
        rows = slice(episode.start, episode.stop)
        human = int((index.source.data[rows] == SOURCE_HUMAN).sum())
        gaps += int((np.diff(index.stamp_s.data[rows]) > GAP_PERIODS * period_s).sum())
        for by, group in groups.items():
            entry = group[getattr(episode, by)]
            entry['episodes'] += 1
            entry['success'] += episode.outcome == 'success' and episode.kind != 'play'
            entry['hours'] += (episode.stop - episode.start) * period_s / 3600
            entry['human_hours'] += human * period_s / 3600
    return {
        'version': replay.version(name),
        'episodes': len(replay.episodes(name)),
        'frames': len(index),
        'hours': len(index) * period_s / 3600,
        'images': int(index.new_image.data.sum()) * len(replay.layout.cameras),
        'starts': len(Transitions(replay, 1).starts(name)),
        'gaps': gaps,
        'outcomes': _count(episode.outcome for episode in replay.episodes(name)),
        'success_by_version': _by_version(replay, name),
        **{f'by_{by.removesuffix("_id")}': dict(group) for by, group in groups.items()},
    }


def _count(words: Any) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for word in words:
        counts[word] += 1
    return dict(sorted(counts.items()))


def _by_version(replay: Replay, name: str) -> dict[str, dict[str, int]]:
    """Episodes and successes of each policy version, counted at the version of an episode's first policy step."""
    index = replay.index(name)
    out: dict[str, dict[str, int]] = {}
    for episode in replay.episodes(name):
        rows = slice(episode.start, episode.stop)
        own = index.policy_version.data[rows][index.source.data[rows] == SOURCE_POLICY]
        if len(own):
            entry = out.setdefault(str(int(own[0])), {'n': 0, 'k': 0})
            entry['n'] += 1
            entry['k'] += episode.outcome == 'success'
    return out
