"""`ros2 run lwd_learner publish CHECKPOINT`: announce one policy and serve it to the robots."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from lwd_policy_node.places import lwd_home
from lwd_policy_node.stop_signal import StopSignal
from lwd_policy_node.weights import KeyFileError, WeightsRefused

from lwd_learner.publish.bfloat16 import Precision
from lwd_learner.publish.canary import AT_ONCE, CanaryPlan
from lwd_learner.publish.keys_command import default_key_folder
from lwd_learner.publish.publisher import HEAR_S, Publisher


def default_run_dir() -> Path:
    """Return ``$LWD_HOME/train``."""
    return lwd_home() / 'train'


@dataclass(frozen=True, slots=True)
class PublishCommand:
    """Publish a policy: sign it, announce it on /lwd/weights, serve it until Ctrl-C."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Policy to publish (safetensors)."""
    run_dir: Path = field(default_factory=default_run_dir)
    """Run folder: versions are kept in its published/, events in its weights.jsonl."""
    key: Path = field(default_factory=lambda: default_key_folder() / 'learner.ed25519')
    """Private key that signs the manifest."""
    stage: str = 'offline'
    """What trained it: sft, offline or online."""
    step: int = 0
    """Learner step it was saved at."""
    replay_version: str = ''
    """Replay snapshot it was trained on, e.g. "offline@12 online@40"."""
    keep: int = 5
    """Versions kept on disk, besides those in use and the last two to go back to."""
    uris: tuple[str, ...] = ()
    """Where robots can have the file besides the service: file, http://host:port, s3://bucket/prefix."""
    precision: Precision = 'as_trained'
    """bfloat16: matrices take half the bytes; vectors, and with them the scaling of actions, stay."""
    canary: CanaryPlan = AT_ONCE
    """Try it out on a share of the robots first, once any is heard; the rest follow when it is not worse there."""
    hear_s: float = HEAR_S
    """With a canary: s to listen for other robots, from the first one heard, before choosing those that go first."""
    once_loaded_by: int = 0
    """Exit with code 0 once this many robots have loaded it, under whatever number; 0 = serve until Ctrl-C."""
    timeout_s: float = 60.0
    """With --once-loaded-by: s to wait for them; exit code 1 when they did not."""
    json: bool = False
    """Print events as JSON lines."""


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    command = tyro.cli(PublishCommand, args=args, prog='ros2 run lwd_learner publish')
    stop = StopSignal()
    try:
        publisher = Publisher(
            command.run_dir,
            command.key,
            keep=command.keep,
            uris=command.uris,
            canary=command.canary,
            hear_s=command.hear_s,
            precision=command.precision,
        )
        with publisher:
            version = publisher.publish(
                command.checkpoint,
                stage=command.stage,
                step=command.step,
                replay_version=command.replay_version,
            )
            return _serve(command, publisher, version, stop)
    except (KeyFileError, WeightsRefused, ValueError, OSError) as error:
        print(f'publish: {error}', file=sys.stderr)
        return 1


def _serve(command: PublishCommand, publisher: Publisher, version: int, stop: StopSignal) -> int:
    _tell(command, {'event': 'published', 'version': version})
    if publisher.releases.state().waiting == version:
        why = 'for a pin or a trial to end, or for robots to try it out'
        _tell(command, {'event': 'waits', 'version': version, 'reason': why})
    sha256 = publisher.releases.sha256(version)
    shown = 0
    waited_s = 0.0
    while not stop.is_set():
        events = publisher.fleet.events()
        for event in events[shown:]:
            _tell(
                command,
                {
                    'event': event.event,
                    'version': event.version,
                    'robot_id': event.robot_id,
                    'delay_s': round(event.delay_s, 3),
                    'reason': event.reason,
                },
            )
        shown = len(events)
        if command.once_loaded_by:
            numbers = [v for v in publisher.releases.numbers(sha256) if v >= version]
            robots = command.once_loaded_by
            if any(publisher.fleet.wait_for(v, 'loaded', robots, 0.0) for v in numbers):
                return 0
            if waited_s >= command.timeout_s:
                print(
                    f'publish: version {version} was not loaded by {command.once_loaded_by} '
                    f'robots within {command.timeout_s:g} s',
                    file=sys.stderr,
                )
                return 1
        stop.wait(0.1)
        waited_s += 0.1
    return 0


def _tell(command: PublishCommand, facts: dict[str, object]) -> None:
    if command.json:
        print(json.dumps(facts), flush=True)
    else:
        print(
            '  '.join(f'{key} {value}' for key, value in facts.items() if value != ''), flush=True
        )


if __name__ == '__main__':
    sys.exit(main())
