"""Wilson's score interval of a success rate."""

from __future__ import annotations

import math

Z_95 = 1.959964
"""Two-sided 95 % quantile of the standard normal."""


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Interval (low, high) of k successes in n trials; (0, 1) of no trials.

    Raises:
        ValueError: k is not in 0 .. n.
    """
    if not 0 <= k <= n:
        raise ValueError(f'{k} successes in {n} trials')
    if n == 0:
        return 0.0, 1.0
    p, z2 = k / n, z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high
