"""The tasks, by name. A new one is a file in this folder and a line here."""

from collections.abc import Sequence

from lwd_sim.tasks.base import SHIFTS, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.cocktail import Cocktail
from lwd_sim.tasks.cooler import Cooler
from lwd_sim.tasks.correct import Correct
from lwd_sim.tasks.freezer import Freezer
from lwd_sim.tasks.handover import Handover
from lwd_sim.tasks.juice import Juice
from lwd_sim.tasks.restock import Restock
from lwd_sim.tasks.shoebox import Shoebox
from lwd_sim.tasks.tea import Tea

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (Restock, Handover, Correct, Freezer, Cooler, Juice, Shoebox, Tea, Cocktail)
}


def make_task(name: str) -> Task:
    """A fresh task by name.

    Raises:
        KeyError: no such task; the message lists the known ones.
    """
    if name not in TASKS:
        raise KeyError(f'no task {name!r}; known: {", ".join(sorted(TASKS))}')
    return TASKS[name]()


def refuse_unknown(names: Sequence[str]) -> None:
    """Raise ValueError for a `--tasks` that names none, or one that does not exist; the message lists what there is."""
    known = f'give one or more of {", ".join(sorted(TASKS))}'
    if not names:
        raise ValueError(f'--tasks is empty: {known}')
    for name in names:
        if name not in TASKS:
            raise ValueError(f'--tasks {name!r}: there is no such task; {known}')


__all__ = [
    'SHIFTS',
    'TASKS',
    'Aim',
    'HandGoal',
    'Shift',
    'Task',
    'Waypoint',
    'make_task',
    'refuse_unknown',
]
