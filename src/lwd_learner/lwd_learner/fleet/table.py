"""The fleet as a table for a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from lwd_learner.fleet.view import RobotRow

NUMBERS = ('weights', 'episodes', 'success', 'helped', 'backlog', 'GB', 'load s', 'sample s')


def table_of(rows: list[RobotRow]) -> Table:
    """Return the table; without rows it says so."""
    title = (
        f'{len(rows)} robots'
        if rows
        else 'no robot heard yet: same ROS_DOMAIN_ID, same discovery?'
    )
    notes = [f'{row.robot} refused {row.refused}' for row in rows if row.refused]
    notes += [f'{row.robot}: its recorder does not record' for row in rows if row.unrecorded]
    table = Table(
        title=title,
        title_justify='left',
        caption=Text('\n'.join(notes), style='table.caption') if notes else None,
        caption_justify='left',
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for name in ('robot', 'mode', 'task'):
        table.add_column(name)
    for name in NUMBERS:
        table.add_column(name, justify='right')
    for row in rows:
        rate = row.success_rate
        table.add_row(
            Text(row.robot),
            Text(row.mode) if row.alive else Text('silent', style='red'),
            Text(row.task),
            f'{row.version}>{row.standby}' if row.standby else str(row.version),
            str(row.episodes),
            '-' if rate is None else f'{rate:.0%}',
            str(row.interventions),
            f'[yellow]{row.backlog}' if row.backlog > 5 else str(row.backlog),
            f'{row.disk_free_gb:g}',
            _seconds(row.loaded_s),
            _seconds(row.sampleable_s),
        )
    return table


def _seconds(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
