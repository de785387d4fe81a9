"""The score of an episode: the share of stages done, a stage that needed a second try counting half."""

from __future__ import annotations


class StageScore:
    """Follows how many stages are done, tick by tick."""

    def __init__(self, stages: int) -> None:
        self._worth = [0.0] * stages
        self._done = 0
        self._lost = [False] * stages

    def update(self, done: int) -> None:
        """Take how many stages are done now; a stage that was done and is not any more has to be tried again."""
        for stage in range(done, self._done):
            self._lost[stage] = True
        for stage in range(self._done, done):
            again = self._lost[stage]
            self._worth[stage] = 0.5 if again else 1.0
        self._done = done

    @property
    def value(self) -> float:
        """Mean worth of the stages that are done now, 0 .. 1."""
        return sum(self._worth[: self._done]) / len(self._worth)
