"""The demo's figures as one dictionary, report.json: counted from what was announced and what was stored."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from lwd_learner.evaluation.wilson import wilson

from lwd_bringup.demo.fleet import Fleet
from lwd_bringup.demo.records import Records, loaded_s, read_status, sampleable_s, spread

STAGES = ('sft', 'offline', 'online')


def make_report(fleet: Fleet, records: Records, wall_s: float, notes: list[str]) -> dict[str, Any]:
    """Compute the report.

    Args:
        fleet: episodes, take-overs and loaded versions as the robots announced them.
        records: the learner's own records.
        wall_s: seconds since the demo began.
        notes: what went wrong or is worth knowing, one sentence each.
    """
    records.refresh()
    status = read_status(records.run)
    rows = [row for row in records.ingest.rows if row.get('episode_id') in fleet.episodes]
    stored = [
        row['episode_id']
        for row in rows
        if not row.get('duplicate') and not row.get('quarantined')
    ]
    return {
        'robots': len(fleet.robots),
        'episodes_started': len(fleet.episodes),
        'episodes_delivered': len(set(stored)),
        'episodes_duplicated': len(stored) - len(set(stored)),
        'duplicate_deliveries_ignored': sum(bool(row.get('duplicate')) for row in rows),
        'episodes_missing': sorted(set(fleet.episodes) - set(stored)),
        'versions_published': int(status.get('version', 0)),
        'versions_loaded': {
            robot: list(versions) for robot, versions in sorted(fleet.loaded.items())
        },
        'weights_refused': list(fleet.refused),
        'interventions': fleet.takeovers,
        'success': {
            stage: status.get('eval', {}).get(stage, {'n': 0, 'k': 0}) for stage in STAGES
        },
        'verdict': verdict(status.get('eval', {})),
        'episode_to_sampleable_s': spread(sampleable_s(rows)),
        'published_to_loaded_s': spread(loaded_s(records.weights.rows)),
        'wall_s': round(wall_s, 1),
        'machine': machine(),
        'notes': [*notes, *status.get('short', {}).values()],
    }


def verdict(evaluations: dict[str, dict[str, int]]) -> str:
    """Whether success rose from SFT to online, in one honest sentence."""
    missing = [stage for stage in STAGES if not evaluations.get(stage, {}).get('n')]
    if missing:
        return f'Not evaluated: {", ".join(missing)}; nothing can be said about a rise.'
    sft, online = evaluations['sft'], evaluations['online']
    before, after = sft['k'] / sft['n'], online['k'] / online['n']
    change = f'from {before:.2f} (SFT) to {after:.2f} (online)'
    if wilson(online['k'], online['n'])[0] > wilson(sft['k'], sft['n'])[1]:
        return f'Success rose {change}; the 95 % intervals do not overlap.'
    if after > before:
        return f'Success rose {change}, but the 95 % intervals overlap: this run alone does not show a rise.'
    return f'Success did not rise: {change}.'


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        names = [
            line.split(':', 1)[1]
            for line in cpuinfo.read_text().splitlines()
            if line.startswith('model name')
        ]
        model = names[0].strip() if names else model
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {
        'cpu': model,
        'cores': len(os.sched_getaffinity(0)),
        'memory_gib': round(memory / 1024**3, 1),
        'python': platform.python_version(),
        'system': f'{platform.system()} {platform.release()}',
    }
