"""The fleet as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from lwd_learner.fleet.view import RobotRow


def table_of(rows: list[RobotRow]) -> Table:
    """Return the table; without rows it says so."""
    title = (
        f'{len(rows)} robots'
        if rows
        else 'no robot heard yet: same ROS_DOMAIN_ID, same discovery?'
    )
    table = Table(title=title, title_justify='left')
    for name in ('robot', 'mode', 'task'):
        table.add_column(name)
    for name in (
        'version', 'episodes', 'success', 'helped', 'backlog', 'disk GB', 'loaded s', 'sampleable s'
    ):  # fmt: skip
        table.add_column(name, justify='right')
    table.add_column('weights refused', overflow='fold')
    for row in rows:
        rate = row.success_rate
        table.add_row(
            row.robot,
            row.mode if row.alive else '[red]silent',
            row.task,
            f'{row.version} -> {row.standby}' if row.standby else str(row.version),
            str(row.episodes),
            '-' if rate is None else f'{rate:.0%}',
            str(row.interventions),
            f'[yellow]{row.backlog}' if row.backlog > 5 else str(row.backlog),
            f'{row.disk_free_gb:g}',
            _seconds(row.loaded_s),
            _seconds(row.sampleable_s),
            row.refused,
        )
    return table


def _seconds(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
