"""Statistics of features as LeRobot keeps them: per episode and, merged, of the whole data set.

Keys are min, max, mean, std, count and the quantiles q01, q10, q50, q90, q99. Pictures count as values in [0, 1] with
shape (3, 1, 1). Merged quantiles are averages of the episodes' quantiles weighted by length, as LeRobot merges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Stats = dict[str, npt.NDArray[Any]]
QUANTILES = {'q01': 0.01, 'q10': 0.1, 'q50': 0.5, 'q90': 0.9, 'q99': 0.99}


def of_columns(values: npt.NDArray[Any]) -> Stats:
    """Statistics of (T, D) values, each of shape (D,), over the rows without a value that is not finite.

    Labels are NaN until the simulator has said something. Without any row all are 0, as is the count.
    """
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers).all(axis=1)]
    if len(numbers) == 0:
        nothing = np.zeros(values.shape[1])
        return dict.fromkeys(('min', 'max', 'mean', 'std', *QUANTILES), nothing) | {
            'count': np.array([0])
        }
    return {
        'min': numbers.min(axis=0),
        'max': numbers.max(axis=0),
        'mean': numbers.mean(axis=0),
        'std': numbers.std(axis=0),
        'count': np.array([len(numbers)]),
        **{name: np.quantile(numbers, q, axis=0) for name, q in QUANTILES.items()},
    }


class PictureStatistics:
    """Statistics of 8-bit pictures from histograms: exact, whatever their number."""

    def __init__(self) -> None:
        self._bins = np.zeros((3, 256), np.int64)
        self._frames = 0

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Count one RGB picture."""
        for channel in range(3):
            self._bins[channel] += np.bincount(image[..., channel].reshape(-1), minlength=256)
        self._frames += 1

    def result(self) -> Stats:
        """The statistics, (3, 1, 1) each."""
        levels = np.arange(256) / 255.0
        share = self._bins / self._bins.sum(axis=1, keepdims=True)
        mean = share @ levels
        seen = self._bins > 0
        cumulative = share.cumsum(axis=1)
        stats = {
            'min': levels[seen.argmax(axis=1)],
            'max': levels[255 - seen[:, ::-1].argmax(axis=1)],
            'mean': mean,
            'std': np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0)),
            **{
                name: levels[(cumulative >= q - 1e-12).argmax(axis=1)]
                for name, q in QUANTILES.items()
            },
        }
        return {
            **{name: value.reshape(3, 1, 1) for name, value in stats.items()},
            'count': np.array([self._frames]),
        }


def merge(episodes: Iterable[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Statistics of all episodes together, by feature."""
    by_feature: dict[str, list[Stats]] = {}
    for episode in episodes:
        for name, stats in episode.items():
            by_feature.setdefault(name, []).append(stats)
    return {name: _merge(parts) for name, parts in by_feature.items()}


def _merge(parts: list[Stats]) -> Stats:
    parts = [part for part in parts if part['count'][0]] or parts[:1]
    counts = np.array([int(part['count'][0]) for part in parts], np.float64)
    weight = (counts / max(counts.sum(), 1.0)).reshape(-1, *([1] * parts[0]['mean'].ndim))
    mean = (weight * np.stack([part['mean'] for part in parts])).sum(axis=0)
    square = np.stack([part['std'] ** 2 + (part['mean'] - mean) ** 2 for part in parts])
    return {
        'min': np.stack([part['min'] for part in parts]).min(axis=0),
        'max': np.stack([part['max'] for part in parts]).max(axis=0),
        'mean': mean,
        'std': np.sqrt((weight * square).sum(axis=0)),
        'count': np.array([int(counts.sum())]),
        **{
            name: (weight * np.stack([part[name] for part in parts])).sum(axis=0)
            for name in QUANTILES
        },
    }


def as_json(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    """Nested lists for stats.json."""
    return {name: {key: value.tolist() for key, value in of.items()} for name, of in stats.items()}
