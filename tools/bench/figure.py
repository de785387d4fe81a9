"""One measured figure, and how a list of them is written down and shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over repeats, beside its target."""

    name: str
    value: float
    unit: str
    target: float
    better: Literal['lower', 'higher']

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of the target."""
        return self.value <= self.target if self.better == 'lower' else self.value >= self.target


def write(figures: list[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + '\n')


def show(figures: list[Figure], console: Console) -> None:
    """Print them as a table."""
    table = Table('figure', 'value', 'target', 'unit', 'met')
    for figure in figures:
        sign = '<=' if figure.better == 'lower' else '>='
        value, target = f'{figure.value:.4g}', f'{sign} {figure.target:g}'
        table.add_row(figure.name, value, target, figure.unit, 'yes' if figure.met else '[red]no')
    console.print(table)
