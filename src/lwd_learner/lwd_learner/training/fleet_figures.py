"""Figures of the fleet's own episodes: success by policy version, with and without help."""

from __future__ import annotations

import numpy as np

from lwd_learner.replay import Replay
from lwd_learner.replay.layout import SOURCE_HUMAN


def success_by_version(replay: Replay) -> dict[str, dict[str, int]]:
    """Per version: n online episodes, k successful without any help, helped ones with a human
    segment.
    """
    index = replay.index('online')
    source, version = index.source.data, index.policy_version.data
    counts: dict[str, dict[str, int]] = {}
    for episode in replay.kept('online'):
        rows = slice(episode.start, episode.stop)
        key = str(int(version[rows].max(initial=0)))
        entry = counts.setdefault(key, {'n': 0, 'k': 0, 'helped': 0})
        helped = bool(np.any(source[rows] == SOURCE_HUMAN))
        entry['n'] += 1
        entry['k'] += int(episode.outcome == 'success' and not helped)
        entry['helped'] += int(helped)
    return dict(sorted(counts.items(), key=lambda item: int(item[0])))
