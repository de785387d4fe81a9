"""`ros2 run lwd_learner fleet`: every robot in a live table, as JSON, and as Prometheus metrics."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from lwd_policy_node.stop_signal import StopSignal
from rich.console import Console
from rich.live import Live

from lwd_learner.fleet.listener import FleetListener
from lwd_learner.fleet.metrics import serve
from lwd_learner.fleet.table import table_of
from lwd_learner.fleet.view import FleetView, IngestTail, as_json
from lwd_learner.publish.publish_command import default_run_dir


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """Show the robots of this ROS domain until Ctrl-C."""

    json: bool = False
    """Print one JSON object per period instead of a table."""
    once: bool = False
    """Listen for --listen-s, show once and leave; exit code 1 when no robot was heard."""
    listen_s: float = 3.0
    """With --once: s to listen."""
    period_s: float = 1.0
    """s between two looks."""
    journal: Path = field(default_factory=lambda: default_run_dir() / 'ingest.jsonl')
    """Ingest's journal on this machine, for episode end to sampleable."""
    metrics_port: int = 0
    """Serve Prometheus metrics at http://HOST:PORT/metrics; 0 = do not."""
    metrics_host: str = '127.0.0.1'
    """Address to serve metrics on; others than loopback are open to whoever reaches them."""


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    command = tyro.cli(FleetCommand, args=args, prog='ros2 run lwd_learner fleet')
    stop = StopSignal()
    view, tail = FleetView(), IngestTail(command.journal)
    server = None
    try:
        if command.metrics_port:
            server = serve(view, command.metrics_host, command.metrics_port)
    except OSError as error:
        place = f'{command.metrics_host}:{command.metrics_port}'
        print(f'fleet: metrics cannot be served at {place}: {error}', file=sys.stderr)
        return 1
    try:
        with FleetListener(view):
            return _show(command, view, tail, stop)
    finally:
        if server is not None:
            server.shutdown()


def _show(command: FleetCommand, view: FleetView, tail: IngestTail, stop: StopSignal) -> int:
    console = Console()
    if command.once:
        stop.wait(command.listen_s)
        _read(view, tail)
        rows = view.rows()
        if command.json:
            print(as_json(rows))
        else:
            console.print(table_of(rows))
        return 0 if rows else 1
    if command.json:
        while not stop.wait(command.period_s):
            _read(view, tail)
            print(as_json(view.rows()), flush=True)
        return 0
    with Live(table_of([]), console=console, auto_refresh=False) as live:
        while not stop.wait(command.period_s):
            _read(view, tail)
            live.update(table_of(view.rows()), refresh=True)
    return 0


def _read(view: FleetView, tail: IngestTail) -> None:
    for line in tail.lines():
        view.add_ingest_line(line)


if __name__ == '__main__':
    sys.exit(main())
