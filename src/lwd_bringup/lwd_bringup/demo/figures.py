"""The report's figures, as inline SVG: success by stage, success over deployment, losses, latencies."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl

mpl.use('svg')
import matplotlib.pyplot as plt
from lwd_learner.evaluation.wilson import wilson
from matplotlib.figure import Figure

from lwd_bringup.demo.report import STAGES

WINDOW = 20  # episodes of the sliding mean


def success_by_stage(success: Mapping[str, Mapping[str, int]]) -> str:
    """Bars with 95 % intervals, one a stage."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    for index, stage in enumerate(STAGES):
        k, n = success[stage].get('k', 0), success[stage].get('n', 0)
        if n:
            low, high = wilson(k, n)
            errors = [[max(0.0, k / n - low)], [max(0.0, high - k / n)]]
            axes.bar(index, k / n, yerr=errors, capsize=6, color='#2a7f9e')
            axes.text(index, 0.02, f'{k}/{n}', ha='center', color='white')
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_ylim(0, 1)
    axes.set_ylabel('success, 95 % interval')
    return _svg(figure)


def deployment(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sliding mean of success and of human help over the fleet's episodes, in order of arrival."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    success = [float(row.get('outcome') == 'success') for row in rows]
    helped = [float(row.get('takeovers', 0) > 0) for row in rows]
    alone = [float(a and not b) for a, b in zip(success, helped, strict=True)]
    for values, label in ((alone, 'success without help'), (helped, 'helped')):
        axes.plot(range(1, len(values) + 1), _sliding(values), label=label)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(f'episode (mean of the last {WINDOW})')
    if rows:
        axes.legend(loc='lower right', fontsize=8)
    return _svg(figure)


def curves(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Learner metrics over wall time, each scaled to its own largest value."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    for name in names:
        points = [
            (row['wall_s'], row[name])
            for row in rows
            if name in row and 'wall_s' in row and row[name] is not None
        ]
        if points:
            top = max(abs(value) for _, value in points) or 1.0
            axes.plot(
                [x for x, _ in points],
                [y / top for _, y in points],
                label=f'{name} (max {top:.3g})',
            )
    axes.set_xlabel('wall time, s')
    if axes.lines:
        axes.legend(fontsize=7)
    return _svg(figure)


def latencies(named: Mapping[str, Sequence[float]]) -> str:
    """Cumulative share over seconds."""
    figure, axes = plt.subplots(figsize=(4.2, 3))
    for label, values in named.items():
        if values:
            ordered = sorted(values)
            axes.step(
                ordered,
                [(i + 1) / len(ordered) for i in range(len(ordered))],
                where='post',
                label=label,
            )
    axes.set_xlabel('s')
    axes.set_ylabel('share of events')
    axes.set_xlim(left=0)
    if axes.lines:
        axes.legend(fontsize=8, loc='lower right')
    return _svg(figure)


def _sliding(values: Sequence[float]) -> list[float]:
    means = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - WINDOW) : end]
        means.append(sum(window) / len(window))
    return means


def _svg(figure: Figure) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg')
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index('<svg') :]
