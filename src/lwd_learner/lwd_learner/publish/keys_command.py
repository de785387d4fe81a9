"""`ros2 run lwd_learner keys`: make the pair that signs weights, once."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from lwd_policy_node.places import lwd_home
from lwd_policy_node.weights import KeyFileError, ensure_key_pair


def default_key_folder() -> Path:
    """Return ``$LWD_HOME/keys``."""
    return lwd_home() / 'keys'


@dataclass(frozen=True, slots=True)
class KeysCommand:
    """Create an Ed25519 key pair for signing weights, or show the one that is there."""

    dir: Path = field(default_factory=default_key_folder)
    """Folder of the pair; robots trust every .pub file in theirs."""
    name: str = 'learner'
    """File name without its ending: <name>.ed25519 is private, <name>.pub goes to the robots."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    command = tyro.cli(KeysCommand, args=args, prog='ros2 run lwd_learner keys')
    try:
        pair = ensure_key_pair(command.dir, command.name)
    except (KeyFileError, OSError) as error:
        print(f'keys: {error}', file=sys.stderr)
        return 1
    if command.json:
        facts = {
            'key_id': pair.key_id,
            'private': str(pair.private_path),
            'public': str(pair.public_path),
            'created': pair.created,
        }
        print(json.dumps(facts))
        return 0
    print(f'{"created" if pair.created else "found"} key {pair.key_id}')
    print(f'private  {pair.private_path}  (keep it on the learner)')
    print(f'public   {pair.public_path}  (copy it to every robot)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
