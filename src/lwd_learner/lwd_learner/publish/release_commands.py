"""`ros2 run lwd_learner promote|rollback|pin`: say which published version the robots shall run.

The commands change what stands in the run folder, signed; the learner (`train` or `publish`) that works on
it announces the change within half a second, and one that is started later does so then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from lwd_policy_node.weights import KeyFileError, WeightsRefused, load_private_key

from lwd_learner.publish.archive import PUBLISHED_FOLDER, Archive, VersionCounter
from lwd_learner.publish.keys_command import default_key_folder
from lwd_learner.publish.publish_command import default_run_dir
from lwd_learner.publish.releases import Releases


@dataclass(frozen=True, slots=True)
class Place:
    """Where the versions and the key are."""

    run_dir: Path = field(default_factory=default_run_dir)
    """Run folder: versions are in its published/."""
    key: Path = field(default_factory=lambda: default_key_folder() / 'learner.ed25519')
    """Private key that signs the manifests."""
    json: bool = False
    """Print one JSON object."""

    def releases(self) -> Releases:
        """Open the folder.

        Raises:
            KeyFileError: the key cannot be used.
            LookupError: nothing was published from there.
        """
        folder = self.run_dir / PUBLISHED_FOLDER
        if not folder.is_dir():
            raise LookupError(f'{folder} is not there: name the run folder with --run-dir')
        archive = Archive(folder, keep=sys.maxsize, tidy=False)  # forgetting is the learner's
        counter = VersionCounter(self.key.with_suffix('.version'))
        return Releases(archive, counter, load_private_key(self.key))


@dataclass(frozen=True, slots=True)
class PromoteCommand(Place):
    """Give a version that is tried out, or waits, to all robots."""

    version: Annotated[int, tyro.conf.Positional] = 0
    """Version; 0 = the one on trial."""


@dataclass(frozen=True, slots=True)
class RollbackCommand(Place):
    """Take the fleet back: an older version's file is published under a new number."""

    version: Annotated[int, tyro.conf.Positional] = 0
    """Version to go back to; 0 = the last that all robots ran before and that no roll-back to an older one left, or
    during a trial the one that the others run."""


@dataclass(frozen=True, slots=True)
class PinCommand(Place):
    """Hold the fleet at a version: newer ones wait, older ones are refused by every robot that heard of it.

    A version on trial waits too: its robots go back to what the others run.
    """

    version: Annotated[int, tyro.conf.Positional] = 0
    """Version; 0 = the one that all robots run."""
    off: bool = False
    """Let the fleet go on instead: the learner offers what waits, to all or as a trial, as it is set up."""


def promote(args: list[str] | None = None) -> int:
    """Run `promote`; return the exit code."""
    command = tyro.cli(PromoteCommand, args=args, prog='ros2 run lwd_learner promote')

    def act(releases: Releases) -> int:
        version = command.version or releases.state().trial
        if not version:
            raise LookupError('no version is on trial: name the one that you mean')
        return releases.promote(version)

    return _run('promote', command, act)


def rollback(args: list[str] | None = None) -> int:
    """Run `rollback`; return the exit code."""
    command = tyro.cli(RollbackCommand, args=args, prog='ros2 run lwd_learner rollback')
    return _run('rollback', command, lambda releases: releases.roll_back(command.version or None))


def pin(args: list[str] | None = None) -> int:
    """Run `pin`; return the exit code."""
    command = tyro.cli(PinCommand, args=args, prog='ros2 run lwd_learner pin')

    def act(releases: Releases) -> int:
        return releases.unpin() if command.off else releases.pin(command.version or None)

    return _run('pin', command, act)


def _run(name: str, command: Place, act: Callable[[Releases], int]) -> int:
    try:
        releases = command.releases()
        version = act(releases)
        state = releases.state()
    except (KeyFileError, WeightsRefused, LookupError, ValueError, OSError) as error:
        print(f'{name}: {error.args[0] if error.args else error}', file=sys.stderr)
        return 1
    facts: dict[str, Any] = {
        'version': version,
        'stable': state.stable,
        'trial': state.trial,
        'robots': list(state.robots),
        'waiting': state.waiting,
        'pinned': state.pinned,
    }
    if command.json:
        print(json.dumps(facts))
        return 0
    print(f'all robots: version {state.stable}{" (pinned)" if state.pinned else ""}')
    if state.trial:
        print(f'on trial:   version {state.trial} on {", ".join(state.robots)}')
    if state.waiting:
        print(f'waiting:    version {state.waiting}')
    return 0
