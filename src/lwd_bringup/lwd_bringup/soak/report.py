"""The soak's report: soak.json with every figure, soak.md and soak.png for people."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lwd_bringup.soak.account import Account, Delay, growth, percentiles
from lwd_bringup.soak.options import SoakOptions
from lwd_bringup.soak.page import page_of
from lwd_bringup.soak.plots import draw
from lwd_bringup.soak.run import Records

BACK_LIMIT_S = 10.0
GROWTH_LIMIT = 1.15
WARM_S = (
    900.0  # a shorter run only shows how processes warm up after a kill: its memory is not judged
)
CACHE = 'store'  # SeaweedFS, which is not ours, keeps in memory what it is given
PAGE, PICTURE, DATA = 'soak.md', 'soak.png', 'soak.json'


def facts_of(options: SoakOptions, account: Account, records: Records) -> dict[str, Any]:
    """Return everything that the report says."""
    back: dict[str, list[float | None]] = {}
    for fault in records.faults:
        if 'back_s' in fault:
            seconds: Any = fault['back_s']
            back.setdefault(str(fault['fault']), []).append(seconds)
    grown = {kind: round(growth(series), 3) for kind, series in records.memory.items()}
    sampleable = percentiles([delay_s for _, delay_s in account.sampleable_after])
    return {
        'machine': machine(),
        'options': {name: str(value) for name, value in asdict(options).items() if name not in ('home', 'report')},
        'under_load_s': round(records.loaded_s, 1),
        'verdicts': _verdicts(account, records, back, grown, sampleable),
        'episodes': {
            'announced': account.announced, 'ended': account.ended, 'interrupted': account.interrupted,
            'sampleable': account.sampleable, 'quarantined': account.quarantined, 'lost': account.lost,
            'doubled': account.doubled,
        },
        'weights': {
            'published_to_loaded_s': percentiles([delay_s for _, delay_s in account.loaded]),
            'bad_versions': account.bad_versions, 'refused_by': account.bad_refused,
            'bad_activated': account.bad_activated,
        },
        'ended_to_sampleable_s': sampleable,
        'back_s': back,
        'memory_growth': grown,
        'faults': records.faults,
        'unasked_deaths': records.unasked,
        'memory_mb': records.memory,
        'loaded_after': _since(records.began_wall_s, account.loaded),
        'sampleable_after': _since(records.began_wall_s, account.sampleable_after),
    }  # fmt: skip


def _verdicts(
    account: Account,
    records: Records,
    back: dict[str, list[float | None]],
    grown: dict[str, float],
    sampleable: dict[str, float],
) -> dict[str, bool]:
    flat = [value for values in back.values() for value in values]
    memory = {
        'memory flat (last quarter at most 1.15 of the second)': all(
            value <= GROWTH_LIMIT for kind, value in grown.items() if kind != CACHE
        )
    }
    return (memory if records.loaded_s >= WARM_S else {}) | {
        '0 episodes lost': account.sampleable > 0 and not account.lost,
        '0 episodes doubled': not account.doubled,
        '0 bad checkpoints activated': not account.bad_activated,
        'every process back within 10 s': all(v is not None and v <= BACK_LIMIT_S for v in flat),
        'episode end to sampleable P50 < 2 s': bool(sampleable) and sampleable['p50'] < 2.0,
        'episode end to sampleable P99 < 10 s': bool(sampleable) and sampleable['p99'] < 10.0,
        'no process died without a fault': not records.unasked,
    }


def machine() -> str:
    """Name the machine: cores, memory, system, Python."""
    gib = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # a system without os-release
        release = {}
    name = release.get('NAME', platform.system()).removesuffix(' GNU/Linux')
    system = f'{name} {release.get("VERSION_ID", "")}'.strip()
    return f'{len(os.sched_getaffinity(0))} cores, {gib:.0f} GiB, {system}, Python {platform.python_version()}'


def write(folder: Path, facts: dict[str, Any]) -> Path:
    """Write soak.json, soak.md and soak.png into `folder`; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ',\n'.join(f' {json.dumps(key)}: {json.dumps(value)}' for key, value in facts.items())
    (folder / DATA).write_text('{\n' + lines + '\n}\n')
    (folder / PICTURE).write_bytes(draw(facts))
    page = folder / PAGE
    page.write_text(page_of(facts, PICTURE, DATA))
    return page


def _since(began_wall_s: float, delays: list[Delay]) -> list[tuple[float, float]]:
    return [(round(at_s - began_wall_s, 1), round(delay_s, 3)) for at_s, delay_s in delays]
