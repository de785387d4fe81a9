"""The tasks, by name. A new one is a file in this folder and a line here."""

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


__all__ = ['SHIFTS', 'TASKS', 'Aim', 'HandGoal', 'Shift', 'Task', 'Waypoint', 'make_task']
