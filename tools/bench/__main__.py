"""Run the benchmarks of one area: ``python -m tools.bench sim``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console

from tools.bench.figure import show, write

AREAS = sorted(
    path.stem
    for path in Path(__file__).parent.glob('*.py')
    if path.stem not in ('figure', '__init__', '__main__')
)


def main() -> int:
    """Measure, write runs/bench/AREA.json, print the table; exit 2 for an unknown area."""
    console = Console()
    if len(sys.argv) != 2 or sys.argv[1] not in AREAS:
        console.print(f'bench: name one area: make bench AREA={"|".join(AREAS)}')
        return 2
    area = sys.argv[1]
    figures = importlib.import_module(f'tools.bench.{area}').measure()
    path = Path('runs', 'bench', f'{area}.json')
    write(figures, path)
    show(figures, console)
    console.print(f'written to {path}', markup=False, soft_wrap=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
