"""Figures of the last soak, if there was one: a soak takes an hour, a bench does not."""

from __future__ import annotations

import json
from typing import Any

from lwd_policy_node.places import lwd_home

from tools.bench.figure import Figure


def figures_of_soak() -> list[Figure]:
    """Targets that the soak's report answers; none without a report in ``$LWD_HOME/soak``."""
    path = lwd_home() / 'soak' / 'soak.json'
    if not path.is_file():
        return []
    facts: dict[str, Any] = json.loads(path.read_text())
    name = f'soak, {facts["options"]["robots"]} robots, {facts["options"]["minutes"]} min'
    back = [value for values in facts['back_s'].values() for value in values]
    slowest = max((1e9 if value is None else value for value in back), default=0.0)
    late = facts['ended_to_sampleable_s']
    ours = [value for kind, value in facts['memory_growth'].items() if kind != 'store']
    return [
        Figure(f'{name}: episode end to sampleable, P50', late['p50'], 's', 2.0, 'lower'),
        Figure(f'{name}: episode end to sampleable, P99', late['p99'], 's', 10.0, 'lower'),
        Figure(f'{name}: lost', len(facts['episodes']['lost']), 'episodes', 0.0, 'lower'),
        Figure(f'{name}: doubled', len(facts['episodes']['doubled']), 'episodes', 0.0, 'lower'),
        Figure(f'{name}: bad checkpoints used', len(facts['weights']['bad_activated']), 'times', 0.0, 'lower'),
        Figure(f'{name}: slowest process back after a kill', slowest, 's', 10.0, 'lower'),
        Figure(f'{name}: memory, last quarter over second', max(ours, default=0.0), '', 1.15, 'lower'),
    ]  # fmt: skip
