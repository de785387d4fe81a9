"""The soak in four pictures: episodes, weights and memory over the minutes, and how soon what was killed is back."""

from __future__ import annotations

import io
from typing import Any

DPI = 80
TARGETS_S = {'sampleable_after': (2.0, 10.0), 'back_s': (10.0,)}
TITLES = {
    'sampleable_after': 'episode end to sampleable, s',
    'loaded_after': 'published to loaded, s',
}


def draw(facts: dict[str, Any]) -> bytes:
    """Return the picture (PNG) of a report's facts."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8))
    for axis, name in ((axes[0, 0], 'sampleable_after'), (axes[0, 1], 'loaded_after')):
        for fault in facts['faults']:
            axis.axvline(fault['at_s'] / 60, color='0.9', linewidth=1)
        points = [(at_s / 60, delay_s) for at_s, delay_s in facts[name] if delay_s > 0]
        axis.plot(*zip(*points, strict=True), '.', markersize=3) if points else None
        axis.set_yscale('log')
        axis.set_title(f'{TITLES[name]}, over minutes (grey: a fault)')
        _targets(axis, name)
    _recovery(axes[1, 0], facts['back_s'])
    for kind, series in sorted(facts['memory_mb'].items()):
        axes[1, 1].plot([at_s / 60 for at_s, _ in series], [mb for _, mb in series], label=kind)
    axes[1, 1].set_title('memory of all processes of a kind, MB over minutes')
    axes[1, 1].set_yscale('log')
    axes[1, 1].legend(loc='center right')
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format='png', dpi=DPI)
    pyplot.close(figure)
    return out.getvalue()


def _recovery(axis: Any, back_s: dict[str, list[float | None]]) -> None:
    names = sorted(back_s)
    for index, name in enumerate(names):
        values = [value for value in back_s[name] if value is not None]
        axis.plot([index] * len(values), values, 'o', alpha=0.6)
    axis.set_xticks(range(len(names)), [name.removeprefix('kill ') for name in names])
    axis.set_ylim(bottom=0)
    axis.set_title('back after a kill, s')
    _targets(axis, 'back_s')


def _targets(axis: Any, name: str) -> None:
    for target_s in TARGETS_S.get(name, ()):
        axis.axhline(target_s, linestyle='--', color='grey')
