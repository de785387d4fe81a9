"""``ros2 run lwd_learner evaluate``: success of a checkpoint on simulated tasks, on fixed seeds."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from lwd_policy_node.policy import Policy, PolicyError
from lwd_sim.tasks import refuse_unknown
from rich.console import Console
from rich.table import Table

from lwd_learner.evaluation.acting import refuse_untrained
from lwd_learner.evaluation.evaluate import EvaluationError, Result, evaluate
from lwd_learner.evaluation.rollout import EVALUATION_SEED0

INTERRUPTED = 130
LAST_DOMAIN = 232
"""By DDS's mapping to ports, 7400 + 250 * domain (DDSI-RTPS 9.6.1.1)."""
LAST_SAFE_DOMAIN = 101
"""The last whose ports lie below those that Linux gives to outgoing connections."""


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Evaluate a policy in simulation: in process, or on a simulated robot with its real nodes (slower)."""

    policy: Annotated[Path, tyro.conf.Positional]
    """policy.safetensors, as in checkpoints/<stage>/ of a training run."""
    episodes: int = 100
    """Episodes; scenes are seed0, seed0 + 1, ..."""
    tasks: tuple[str, ...] = ('restock',)
    """Tasks, in turn."""
    seed0: int = EVALUATION_SEED0
    """First scene seed; the default is disjoint from demonstrations' and fleets'."""
    shift: Literal['trained', 'shift'] = 'trained'
    """How scenes vary: as in training, or wider."""
    profile: str = 'g1_laptop'
    """Robot profile."""
    latency_steps: int = 1
    """Control ticks from an observation to the use of its chunk."""
    best_of: int = 1
    """Samples per plan, of which the one with the largest Q is executed; needs --critic. 1: as the policy was made."""
    critic: Path | None = None
    """learner.safetensors beside the policy, for best_of."""
    workers: int = 0
    """Processes; 0 for one per core."""
    through_ros: bool = False
    """Launch a robot (hardware:=sim) and run the episodes through its nodes, one after the other, with its latency."""
    real_time_factor: float = 1.0
    """With through_ros: speed of simulated time. Above 1 inference counts as so much slower."""
    domain_id: int = 98
    """With through_ros: ROS domain of that robot, apart from a fleet's."""
    json: bool = False
    """Print JSON, every episode included."""


def main() -> None:
    """Evaluate; exit 1 on a named error, 130 on Ctrl-C."""
    config = tyro.cli(EvaluateConfig, prog='evaluate', description=__doc__)
    console = Console(stderr=True)
    began = time.monotonic()
    # Both: a script's background job is started with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        _refuse(config)
        if config.best_of > 1 and config.critic is None:
            raise EvaluationError(
                'best_of needs a critic: give --critic CHECKPOINT/learner.safetensors'
            )
        if config.best_of > 1 and config.through_ros:
            raise EvaluationError(
                'best_of does not go with through_ros: a robot chooses only by a critic that the policy carries; '
                'train with --best-of'
            )
        if config.best_of > 1 and config.critic is not None:
            refuse_untrained(config.critic)
        Policy.config_hash_of(config.policy)  # refuse another kind of file before workers start
        result = _through_ros(config) if config.through_ros else _in_process(config)
    except (EvaluationError, PolicyError, ValueError) as error:
        console.print(f'evaluate: {error}', style='red', markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print('evaluate: interrupted', style='red')
        sys.exit(INTERRUPTED)
    wall_s = round(time.monotonic() - began, 2)
    if config.json:
        episodes = [asdict(episode) for episode in result.episodes]
        print(json.dumps({**result.summary(), 'wall_s': wall_s, 'episodes': episodes}))
        return
    table = Table('task', 'success', '95 % interval', 'progress', 'cycle, s')
    table.add_row(
        ', '.join(config.tasks),
        f'{result.k}/{result.n} = {result.rate:.2f}',
        f'{result.low:.2f} .. {result.high:.2f}',
        f'{result.progress:.2f}',
        f'{result.cycle_s:.2f}',
    )
    Console().print(table)


def _refuse(config: EvaluateConfig) -> None:
    """Raise ValueError for an option that no evaluation can have."""
    refuse_unknown(config.tasks)
    if config.episodes < 1:
        raise ValueError(f'--episodes {config.episodes}: give 1 or more')
    if not 0 <= config.domain_id <= LAST_DOMAIN:
        raise ValueError(
            f'--domain-id {config.domain_id}: there are ROS domains 0 to {LAST_DOMAIN}; give one up to '
            f"{LAST_SAFE_DOMAIN}, above which Linux may lend a domain's ports to others"
        )


def _in_process(config: EvaluateConfig) -> Result:
    return evaluate(
        config.policy,
        profile=config.profile,
        workers=config.workers,
        tasks=config.tasks,
        episodes=config.episodes,
        seed0=config.seed0,
        shift=config.shift,
        latency_steps=config.latency_steps,
        critic=config.critic,
        best_of=config.best_of,
    )


def _through_ros(config: EvaluateConfig) -> Result:
    from lwd_learner.evaluation.through_ros import evaluate_through_ros

    return evaluate_through_ros(
        config.policy,
        profile=config.profile,
        tasks=config.tasks,
        episodes=config.episodes,
        seed0=config.seed0,
        shift=config.shift,
        real_time_factor=config.real_time_factor,
        domain_id=config.domain_id,
    )


if __name__ == '__main__':
    main()
