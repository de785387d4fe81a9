"""ESTOP > HUMAN > POLICY > HOLD, as a table: the first rule that applies says who moves the robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lwd_policy_node.control.signals import Source


@dataclass(frozen=True, slots=True)
class Situation:
    """What one control tick is decided on.

    Attributes:
        estop: the e-stop is latched.
        state_fresh: the newest joint state is younger than its time-out, and the target was taken from one since
            none was.
        human: a human holds the deadman, and the command is younger than its time-out.
        allowed: who may move the robot: HOLD nobody, HUMAN a human only, POLICY both.
        episode: an episode runs.
        letting_go: the tick before belonged to a human or the e-stop; chunks made until now are
            void.
        step_due: a chunk of this episode has a step for this tick.
        chunk: there is a chunk, due or not.
        alive: the process that made it was heard of late.
        watched: the process that ends the episode was heard of late.
        handed_back: a human or the e-stop has let go, and no chunk made since has come.
    """

    estop: bool
    state_fresh: bool
    human: bool
    allowed: Source
    episode: bool
    letting_go: bool
    step_due: bool
    chunk: bool
    alive: bool
    watched: bool
    handed_back: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """Who moves the robot, and why, where `applies`."""

    source: Source
    reason: str
    applies: Callable[[Situation], bool]


SILENT_POLICY = 'silent_policy'
NO_EPISODE_NODE = 'no_episode_node'
RULES = (
    Rule(Source.ESTOP, 'estop', lambda now: now.estop),
    Rule(Source.HOLD, 'stale_state', lambda now: not now.state_fresh),
    Rule(Source.HOLD, 'mode_hold', lambda now: now.allowed is Source.HOLD),
    Rule(Source.HUMAN, 'operator', lambda now: now.human),
    Rule(Source.HOLD, 'no_episode', lambda now: not now.episode),
    Rule(Source.HOLD, NO_EPISODE_NODE, lambda now: not now.watched),
    Rule(Source.HOLD, 'mode_human', lambda now: now.allowed is Source.HUMAN),
    Rule(Source.HOLD, 'handback', lambda now: now.letting_go),
    Rule(Source.HOLD, SILENT_POLICY, lambda now: now.chunk and not now.alive),
    Rule(Source.POLICY, '', lambda now: now.step_due),
    Rule(Source.HOLD, 'stale_chunk', lambda now: now.chunk),
    Rule(Source.HOLD, 'handback', lambda now: now.handed_back),
    Rule(Source.HOLD, 'no_policy', lambda now: True),
)


def decide(now: Situation) -> Rule:
    """The first rule that applies; the last one always does."""
    return next(rule for rule in RULES if rule.applies(now))
