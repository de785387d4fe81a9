"""What a method trains, and on what: the seven of them differ in nothing else, and run on one data path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CloneData = Literal['nothing', 'successes', 'demonstrations and human', 'everything']


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table in docs/algorithms.md."""

    name: str
    """As ``--algorithm`` has it."""
    clones: CloneData
    """What the flow goes on cloning after SFT: successes and rescues; successful demonstrations and all human
    segments; everything, conditioned on its advantage; or nothing."""
    clones_offline: bool = False
    """Cloning goes on in the offline stage too, not only online."""
    values: bool = False
    """V and Q are learned."""
    tilts: bool = False
    """Adjoint matching pulls the flow towards Q."""
    expectile: bool = False
    """V is an expectile of Q instead of a distribution."""
    conditions: bool = False
    """The flow is told whether a chunk was better than expected."""

    @property
    def has_reference(self) -> bool:
        """Whether ``--reference`` says when the flow goes on cloning: LWD, IQL, and their control without a tilt."""
        return self.values and self.clones == 'successes'
