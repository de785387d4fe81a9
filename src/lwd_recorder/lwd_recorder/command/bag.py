"""`ros2 run lwd_recorder bag ls|show|verify|repair|label|upload PATH`: episodes on a disk.

The exit code is 0 when it was done, 1 when not, or when `verify` finds damage; 2 for a command line that is not
understood.
"""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from lwd_recorder.command.label import Label
from lwd_recorder.command.ls import Ls
from lwd_recorder.command.repair import Repair
from lwd_recorder.command.show import Show
from lwd_recorder.command.upload import Upload
from lwd_recorder.command.verify import Verify

Command = Annotated[
    Annotated[Ls, tyro.conf.subcommand('ls')]
    | Annotated[Show, tyro.conf.subcommand('show')]
    | Annotated[Verify, tyro.conf.subcommand('verify')]
    | Annotated[Repair, tyro.conf.subcommand('repair')]
    | Annotated[Label, tyro.conf.subcommand('label')]
    | Annotated[Upload, tyro.conf.subcommand('upload')],
    tyro.conf.OmitSubcommandPrefixes,
]


def main(args: list[str] | None = None) -> int:
    """Run the command line."""
    command = tyro.cli(Command, prog='bag', description=__doc__, args=args)
    return int(command.run())


if __name__ == '__main__':
    sys.exit(main())
