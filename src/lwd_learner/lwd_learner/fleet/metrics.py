"""The fleet as Prometheus metrics, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lwd_learner.fleet.view import FleetView

GAUGES: dict[str, tuple[str, Callable[[Any], float | None]]] = {
    'up': ('1 if the robot was heard within the last seconds', lambda row: float(row.alive)),
    'weights_version': ('version of the weights in use', lambda row: row.version),
    'weights_standby_version': ('version that waits; 0 = none', lambda row: row.standby),
    'upload_backlog_episodes': ('episodes not uploaded yet', lambda row: row.backlog),
    'unrecorded': ('1 if an episode runs that is not recorded', lambda row: float(row.unrecorded)),
    'disk_free_bytes': ("free space of the spool's disk", lambda row: row.disk_free_gb * 1e9),
    'published_to_loaded_seconds': ('median of the last', lambda row: row.loaded_s),
    'ended_to_sampleable_seconds': ('median of the last', lambda row: row.sampleable_s),
}
COUNTERS: dict[str, tuple[str, Callable[[Any], float]]] = {
    'episodes': ('ended since the robot started', lambda row: row.episodes),
    'successes': ('of them successful', lambda row: row.successes),
    'interventions': ('human spells', lambda row: row.interventions),
}


class FleetCollector:
    """Makes metrics of the view whenever they are asked for."""

    def __init__(self, view: FleetView) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, labelled by robot."""
        rows = self._view.rows()
        for name, (text, value_of) in GAUGES.items():
            gauge = GaugeMetricFamily(f'lwd_robot_{name}', text, labels=['robot'])
            for row in rows:
                if (value := value_of(row)) is not None:
                    gauge.add_metric([row.robot], value)
            yield gauge
        for name, (text, count_of) in COUNTERS.items():
            counter = CounterMetricFamily(f'lwd_robot_{name}', text, labels=['robot'])
            for row in rows:
                counter.add_metric([row.robot], count_of(row))
            yield counter
        refused = CounterMetricFamily(
            'lwd_robot_weights_refused', 'versions refused or gone back from', labels=['robot']
        )
        for robot, count in sorted(self._view.refusals.items()):
            refused.add_metric([robot], count)
        yield refused
        modes = GaugeMetricFamily(
            'lwd_robot_mode',
            'always 1; who moves the robot is the label',
            labels=['robot', 'mode'],
        )
        for row in rows:
            modes.add_metric([row.robot, row.mode], 1.0)
        yield modes


def serve(view: FleetView, host: str, port: int) -> Any:
    """Serve `http://host:port/metrics` in a thread; return the server, to `shutdown()`.

    Raises:
        OSError: the address cannot be used.
    """
    registry = CollectorRegistry()
    registry.register(FleetCollector(view))  # type: ignore[arg-type]
    server, _ = start_http_server(port, host, registry)
    return server
