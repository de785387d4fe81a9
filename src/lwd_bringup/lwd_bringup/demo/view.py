"""The live terminal view: what every robot does, how the learner gets on, how long things take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lwd_learner.evaluation.wilson import wilson
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lwd_bringup.demo.fleet import Fleet
from lwd_bringup.demo.records import Records, loaded_s, sampleable_s, spread
from lwd_bringup.demo.report import STAGES

MODE_STYLE = {'policy': 'green', 'human': 'yellow', 'hold': 'dim', 'e-stop': 'bold red'}
SHOWN_VERSIONS = 8
SILENT_S = 5.0  # without a status for longer, a robot is shown as silent


def render(
    phase: str, fleet: Fleet, records: Records, status: Mapping[str, Any], elapsed_s: float
) -> RenderableType:
    """One frame of the view."""
    parts: list[RenderableType] = [Text(f'{elapsed_s:5.0f} s  {phase}', style='bold')]
    if fleet.robots:
        parts.append(_robots(fleet))
    parts.append(_learner(status))
    parts.append(_pipeline(fleet, records))
    return Panel(Group(*parts), title='learning while deploying', border_style='cyan')


def one_line(phase: str, fleet: Fleet, status: Mapping[str, Any], elapsed_s: float) -> str:
    """The same for a log: one line."""
    done = sum(1 for episode in fleet.episodes.values() if episode.outcome)
    losses = ' '.join(f'{name}={value:.3g}' for name, value in status.get('losses', {}).items())
    return (
        f'{elapsed_s:5.0f} s  {phase}: learner {status.get("stage", "-")} step {status.get("step", 0)} '
        f'v{status.get("version", 0)}; {done} episodes, {fleet.takeovers} take-overs {losses}'
    )


def _robots(fleet: Fleet) -> Table:
    table = Table(expand=True, box=None, pad_edge=False)
    for name in (
        'robot',
        'mode',
        'task',
        'version',
        'episodes',
        'success',
        'take-overs',
        'backlog',
    ):
        table.add_column(name)
    now = time.monotonic()
    for robot in sorted(fleet.robots.values(), key=lambda item: item.robot_id):
        silent = now - robot.heard_s > SILENT_S
        mode = (
            Text('silent', style='red')
            if silent
            else Text(robot.mode, style=MODE_STYLE.get(robot.mode, ''))
        )
        version = f'{robot.version}' + (f' -> {robot.standby}' if robot.standby else '')
        counts = (robot.episodes, robot.successes, robot.takeovers, robot.backlog)
        table.add_row(
            Text(robot.robot_id),
            mode,
            Text(robot.instruction or robot.task),
            version,
            *(str(count) for count in counts),
        )
    return table


def _learner(status: Mapping[str, Any]) -> RenderableType:
    if not status:
        return Text('learner: not started', style='dim')
    losses = '  '.join(f'{name} {value:.3g}' for name, value in status.get('losses', {}).items())
    head = Text(
        f'learner: {status.get("stage", "")}  step {status.get("step", 0)}  version {status.get("version", 0)}  '
        f'{status.get("message", "")}'
    )
    bar = ProgressBar(
        total=max(1, status.get('total_steps') or 1), completed=status.get('step', 0)
    )
    success = Text(
        'success  '
        + '   '.join(_stage(stage, status.get('eval', {}).get(stage)) for stage in STAGES)
    )
    by_version = status.get('success_by_version') or {}
    recent = '  '.join(
        f'v{version} {count["k"]}/{count["n"]}'
        for version, count in list(by_version.items())[-SHOWN_VERSIONS:]
    )
    return Group(
        head,
        bar,
        Text(losses, style='dim'),
        success,
        Text(f'success without help, by version: {recent or "-"}'),
    )


def _stage(stage: str, figure: Mapping[str, int] | None) -> str:
    if not figure or not figure.get('n'):
        return f'{stage} -'
    low, high = wilson(figure['k'], figure['n'])
    return f'{stage} {figure["k"] / figure["n"]:.2f} [{low:.2f}, {high:.2f}]'


def _pipeline(fleet: Fleet, records: Records) -> Text:
    rows = [row for row in records.ingest.rows if row.get('episode_id') in fleet.episodes]
    sampleable = spread(sampleable_s(rows))
    loaded = spread(loaded_s(records.weights.rows))
    return Text(
        f'episodes: {len(fleet.episodes)} started, {len(rows)} in replay; {fleet.takeovers} take-overs\n'
        f'episode end -> sampleable {_seconds(sampleable)}; published -> loaded {_seconds(loaded)}'
    )


def _seconds(figure: Mapping[str, float | None]) -> str:
    if figure['p50'] is None:
        return '-'
    return f'P50 {figure["p50"]} s, P99 {figure["p99"]} s'
