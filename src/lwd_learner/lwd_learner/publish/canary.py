"""When a version that a few robots try out goes to all of them, and when it is taken back.

Both sides run at the same time on the same tasks, so their success rates are compared directly. After
every episode of the canary:

* **taken back** as soon as it is clearly worse: the 99 % Newcombe interval of (canary - others), made of
  two Wilson intervals, lies below zero, from the fifth episode on. 99 %, because it is looked at after every episode.
* **given to all** once it has run `episodes` episodes and its rate is not more than `margin` below the
  others'. A test for equivalence would need hundreds of episodes; the margin bounds the harm instead.
* taken back after 3 times `episodes` without that.

Only roll-outs count, and as a success only those in which no human drove, be it since their start.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, hypot

from lwd_learner.evaluation.wilson import wilson

Z_99 = 2.575829  # two-sided 99 % quantile of the standard normal
ENOUGH = 5  # episodes on both sides before anything is called clearly worse
PATIENCE = 3  # times `episodes` after which an undecided version is taken back


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """How new versions are tried out."""

    share: float = 0.0
    """Share of the robots that get a version first, at least one robot; 0 = all get it at once."""
    episodes: int = 20
    """Episodes of theirs after which it may go to all."""
    margin: float = 0.05
    """Success rate by which it may be below the others'."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0.0 <= self.share < 1.0:
            raise ValueError(f'canary share is {self.share:g}: it must be at least 0, below 1')
        if self.episodes < 1:
            raise ValueError(f'canary episodes is {self.episodes}: at least 1')
        if not 0.0 <= self.margin < 1.0:
            raise ValueError(f'canary margin is {self.margin:g}: it must be at least 0, below 1')

    def choose(self, robots: list[str]) -> tuple[str, ...]:
        """Return the robots that go first; empty when there are none besides them."""
        count = ceil(self.share * len(robots))
        return tuple(sorted(robots)[:count]) if count < len(robots) else ()


AT_ONCE = CanaryPlan()


@dataclass(slots=True)
class Tally:
    """Roll-outs of one version."""

    episodes: int = 0
    successes: int = 0  # without any help

    def since(self, before: Tally) -> Tally:
        """What came after an earlier tally of the same version."""
        return Tally(self.episodes - before.episodes, self.successes - before.successes)


class Verdict(StrEnum):
    """What becomes of a version on trial."""

    WAIT = 'wait'
    PROMOTE = 'promote'
    TAKE_BACK = 'take back'


def judge(trial: Tally, others: Tally, plan: CanaryPlan) -> tuple[Verdict, str]:
    """Compare a version on trial with what the other robots run; return (verdict, why)."""
    k1, n1, k0, n0 = trial.successes, trial.episodes, others.successes, others.episodes
    figures = f'{k1} of {n1} episodes, the others {k0} of {n0}'
    if n1 == 0:
        return Verdict.WAIT, figures
    if min(n0, n1) >= ENOUGH and _upper_difference(trial, others) < 0.0:
        return Verdict.TAKE_BACK, f'clearly worse: {figures}'
    if n1 >= plan.episodes:
        if n0 == 0:
            return Verdict.PROMOTE, f'nothing to compare with: {figures}'
        if k1 / n1 >= k0 / n0 - plan.margin:
            return Verdict.PROMOTE, f'not worse: {figures}'
    if n1 >= PATIENCE * plan.episodes:
        return Verdict.TAKE_BACK, f'not as good after {n1} episodes: {figures}'
    return Verdict.WAIT, figures


def _upper_difference(trial: Tally, others: Tally) -> float:
    """Upper end of Newcombe's interval (his method 10) of the difference of two success rates."""
    _, high1 = wilson(trial.successes, trial.episodes, Z_99)
    low0, _ = wilson(others.successes, others.episodes, Z_99)
    p1, p0 = trial.successes / trial.episodes, others.successes / others.episodes
    return p1 - p0 + hypot(high1 - p1, p0 - low0)
