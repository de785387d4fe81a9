"""`ros2 run lwd_bringup soak`: the whole fleet under faults, and a report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import tyro
from rich.console import Console

from lwd_bringup.demo.domain import DomainInUseError, choose_domain
from lwd_bringup.demo.home import HomeError, open_home
from lwd_bringup.soak import report
from lwd_bringup.soak.options import SoakOptions
from lwd_bringup.soak.run import Soak


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0 if every target is met, 1 if not, 2 if it could not run."""
    try:
        options = tyro.cli(SoakOptions, args=args, prog='ros2 run lwd_bringup soak')
    except ValueError as error:
        print(f'soak: {error}', file=sys.stderr)
        return 2
    console = Console(stderr=True, markup=False, emoji=False)
    try:
        home = open_home(options.home)
        with Soak(options, home, choose_domain(options.domain_id), console.print) as soak:
            bag = options.bag or make_bag(home.path)
            soak.start(bag)
            console.print(f'{options.robots} robots run; logs in {home.logs}')
            soak.run()
            console.print('the robots come to rest')
            account = soak.settle()
            facts = report.facts_of(options, account, soak.records)
    except (DomainInUseError, FileNotFoundError, HomeError, TimeoutError, ValueError) as error:
        print(f'soak: {error}', file=sys.stderr)
        return 2
    for folder in {home.path, options.report or home.path}:
        console.print(f'written to {report.write(folder, facts)}')
    shown = {
        key: facts[key]
        for key in ('verdicts', 'episodes', 'weights', 'ended_to_sampleable_s', 'back_s', 'memory_growth')
    }  # fmt: skip
    console.print_json(json.dumps(shown))
    return 0 if all(facts['verdicts'].values()) else 1


def make_bag(home: Path) -> Path:
    """Let the simulator make one episode; return its bag.

    Raises:
        FileNotFoundError: it made none.
    """
    out = home / 'source'
    subprocess.run(
        [
            sys.executable, '-m', 'lwd_sim.data.make_data', '--task', 'restock', '--episodes', '1', '--skill', 'expert',
            '--out', str(out), '--robot-id', 'source_01', '--workers', '1', '--json',
        ],
        stdout=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    manifests = sorted(out.rglob('manifest.json'))
    if not manifests:
        raise FileNotFoundError(f'the simulator made no episode in {out}: name one with --bag')
    return manifests[0].parent


if __name__ == '__main__':
    sys.exit(main())
