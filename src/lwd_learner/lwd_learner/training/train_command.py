"""``ros2 run lwd_learner train``: the learner of a fleet."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
import tyro
from lwd_policy_node.policy import PolicyError
from lwd_recorder.store import StoreError
from rich.console import Console
from rich.logging import RichHandler
from safetensors import SafetensorError

from lwd_learner.evaluation import EvaluationError
from lwd_learner.replay import ReplayError
from lwd_learner.training.accelerate import OUT_OF_MEMORY
from lwd_learner.training.checkpoint import CheckpointError
from lwd_learner.training.config import TrainConfig, record
from lwd_learner.training.preflight import NEEDS_ROS, Preflight, show
from lwd_learner.training.run import Stopped, TrainingRun
from lwd_learner.training.team import WorkerGoneError
from lwd_learner.training.terminal import Terminal

if TYPE_CHECKING:
    from lwd_learner.publish import Publisher

INTERRUPTED = 130


def main() -> None:
    """Train; exit 0 when every stage is done (or every check passed), 130 when interrupted (saved), 1 on an error."""
    sys.exit(run(tyro.cli(TrainConfig, prog='train', description=__doc__)))


def run(config: TrainConfig) -> int:
    """Train with a configuration; answers the exit code."""
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False) if console.is_terminal else None
    logging.basicConfig(
        level=logging.INFO,
        format='%(asctime)s %(message)s',
        handlers=[handler] if handler else None,
        force=True,
    )
    logging.getLogger('httpx').setLevel(logging.WARNING)
    if config.check:
        return check(config)
    with contextlib.ExitStack() as stack:
        try:
            announcer = None
            if config.publish:
                announcer = stack.enter_context(_publisher(config))
            terminal = stack.enter_context(Terminal(console)) if console.is_terminal else None
            training = TrainingRun(config, announcer, terminal)
            stack.callback(training.close)
            (config.run_dir / 'config.json').write_text(json.dumps(record(config), indent=1))

            def stop(number: int, _: object) -> None:
                signal.signal(
                    signal.SIGINT, signal.default_int_handler
                )  # a second Ctrl-C is not asked twice
                training.stopping.set()

            signal.signal(signal.SIGINT, stop)
            signal.signal(signal.SIGTERM, stop)
            training.execute()
        except Stopped:
            logging.info('stopped; go on with --resume')
            return INTERRUPTED
        except (
            CheckpointError,
            EvaluationError,
            PolicyError,
            ReplayError,
            SafetensorError,
            StoreError,
            OSError,
            ValueError,
            WorkerGoneError,
        ) as error:
            logging.error('train: %s', error)
            return 1
        except torch.OutOfMemoryError as error:
            logging.error('train: %s: %s', OUT_OF_MEMORY, error)
            return 1
    return 0


def _publisher(config: TrainConfig) -> Publisher:
    """Open the publisher: only here is ROS 2 needed."""
    try:
        from lwd_learner.publish import Publisher
        from lwd_learner.publish.canary import CanaryPlan
    except ModuleNotFoundError as error:
        raise ValueError(NEEDS_ROS.format(error)) from error
    how = config.weights
    return Publisher(
        config.run_dir,
        config.private_key,
        keep=how.kept,
        uris=how.uris,
        canary=CanaryPlan(how.canary_share, how.canary_episodes, how.canary_margin),
        precision=how.precision,
    )


def check(config: TrainConfig) -> int:
    """Look at everything, train nothing; answers 0 if a run may begin, 1 if not."""
    try:
        findings = Preflight(config).run()
    except ValueError as error:
        logging.error('train: %s', error)
        return 1
    ok = all(finding.ok for finding in findings)
    if config.json:
        print(json.dumps({'ok': ok, 'checks': [asdict(finding) for finding in findings]}))
    else:
        show(findings, Console())
    return 0 if ok else 1


if __name__ == '__main__':
    main()
