"""``ros2 run lwd_bringup demo``: parse the options, run the story, print where the report is."""

from __future__ import annotations

import shlex
import signal
import sys

import tyro
from rich.console import Console

from lwd_bringup.demo.domain import DomainInUseError, choose_domain
from lwd_bringup.demo.home import HomeError, open_home
from lwd_bringup.demo.options import DemoOptions
from lwd_bringup.demo.story import StageError, Story

INTERRUPTED = 130


def main() -> None:
    """Run the demo; exit 0 when the loop closed, 1 when something failed, 2 for bad options, 130 on Ctrl-C."""
    options = tyro.cli(DemoOptions, prog='demo')
    _check_train_args(options)
    console = Console(markup=False, emoji=False)  # much of what it shows is the end of a log
    try:
        home = open_home(options.home)
        domain = choose_domain(options.domain_id)
    except (HomeError, DomainInUseError) as error:
        console.print(f'demo: {error}', style='red', soft_wrap=True)
        sys.exit(1)
    story = Story(options, home, domain, console)

    def interrupt(*_: object) -> None:
        story.interrupted = True
        raise KeyboardInterrupt

    # Both: a script's background job is started with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    code = 0
    try:
        story.run()
    except KeyboardInterrupt:
        story.note('Stopped by Ctrl-C before the end.')
        code = INTERRUPTED
    except StageError as error:
        console.print(f'demo: {error}', style='red', soft_wrap=True)
        story.note(str(error))
        code = 1
    finally:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # a second Ctrl-C must not leave processes behind
        story.close()
    report = story.write_report()
    console.print(report['verdict'], soft_wrap=True)
    for note in report['notes']:
        console.print(f'note: {note}', style='yellow', soft_wrap=True)
    for name, file in (('report:', 'report.html'), ('       ', 'report.json')):
        console.print(f'{name} {home.path / file}', soft_wrap=True)
    sys.exit(code)


def _check_train_args(options: DemoOptions) -> None:
    """Exit 2 for what `train` would refuse, before demonstrations are made."""
    if not options.train_args:
        return
    from lwd_learner.training.config import (
        TrainConfig,
    )  # torch: seconds, which `--help` does without

    tyro.cli(TrainConfig, prog='demo: --train-args', args=shlex.split(options.train_args))


if __name__ == '__main__':
    main()
