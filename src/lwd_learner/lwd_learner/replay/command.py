"""`ros2 run lwd_learner replay`: look at a replay, tidy it, hand it on."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from lwd_learner.interop import InteropError
from lwd_learner.interop.command import Export
from lwd_learner.interop.import_command import ImportBags, ImportLerobot
from lwd_learner.look.command import Lint, Show, Stats
from lwd_learner.replay.amend_command import Amendments, Prune, Relabel
from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.place import default_replay, open_replay
from lwd_learner.replay.stats import replay_stats


@dataclass(frozen=True, slots=True)
class Compact:
    """Merge small files, and delete images of pruned episodes. Safe while ingest and learners run."""

    dir: tyro.conf.Positional[str] = field(default_factory=default_replay)
    """The replay's folder."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Compact and say which snapshot that made."""
        replay = open_replay(self.dir)
        replay.compact()
        if self.json:
            print(json_module.dumps(replay_stats(replay)))
        else:
            print(f'{replay.uri}: compacted, snapshot {replay.snapshot()}')
        return 0


Command = (
    Annotated[Stats, tyro.conf.subcommand('stats')]
    | Annotated[Show, tyro.conf.subcommand('show')]
    | Annotated[Lint, tyro.conf.subcommand('lint')]
    | Annotated[Relabel, tyro.conf.subcommand('relabel')]
    | Annotated[Prune, tyro.conf.subcommand('prune')]
    | Annotated[Amendments, tyro.conf.subcommand('amendments')]
    | Annotated[Compact, tyro.conf.subcommand('compact')]
    | Annotated[Export, tyro.conf.subcommand('export')]
    | Annotated[ImportLerobot, tyro.conf.subcommand('import-lerobot')]
    | Annotated[ImportBags, tyro.conf.subcommand('import-bags')]
)


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code: 1 if it could not be done, or lint found an error."""
    command: Any = tyro.cli(
        Command, args=args, prog='ros2 run lwd_learner replay', config=(tyro.conf.OmitArgPrefixes,)
    )
    try:
        return int(command.run())
    except (ReplayError, InteropError, OSError) as error:
        print(f'replay: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
