"""The soak's report: JSON with every figure and verdict, and one page with plots."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lwd_bringup.soak.account import Account, growth, percentiles, read_lines
from lwd_bringup.soak.options import SoakOptions
from lwd_bringup.soak.run import Records

BACK_LIMIT_S = 10.0
GROWTH_LIMIT = 1.15  # of our processes; the store, which is not ours, caches what it is given


def facts_of(options: SoakOptions, account: Account, records: Records) -> dict[str, Any]:
    """Return everything that the report says."""
    back = {str(f['fault']): [] for f in records.faults if 'back_s' in f}  # type: ignore[var-annotated]
    for fault in records.faults:
        if 'back_s' in fault:
            back[str(fault['fault'])].append(fault['back_s'])
    flat = [value for values in back.values() for value in values]
    grown = {kind: round(growth(series), 3) for kind, series in records.memory.items()}
    sampleable = percentiles(account.sampleable_s)
    return {
        'options': {name: str(value) for name, value in asdict(options).items()},
        'machine': f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}',
        'verdicts': {
            '0 episodes lost': not account.lost,
            '0 episodes doubled': not account.doubled,
            '0 bad checkpoints activated': not account.bad_activated,
            'every process back within 10 s': all(v is not None and v <= BACK_LIMIT_S for v in flat),
            'memory flat (last quarter at most 1.15 of the second)': all(
                value <= GROWTH_LIMIT for kind, value in grown.items() if kind != 'store'
            ),
            'episode end to sampleable P50 < 2 s': sampleable.get('p50', 0.0) < 2.0,
            'episode end to sampleable P99 < 10 s': sampleable.get('p99', 0.0) < 10.0,
            'no process died without a fault': not records.unasked,
        },
        'episodes': {
            'announced': account.announced, 'ended': account.ended, 'interrupted': account.interrupted,
            'sampleable': account.sampleable, 'quarantined': account.quarantined, 'lost': account.lost,
            'doubled': account.doubled,
        },
        'weights': {
            'published_to_loaded_s': percentiles(account.loaded_s), 'bad_versions': account.bad_versions,
            'bad_refused': account.bad_refused, 'bad_activated': account.bad_activated,
        },
        'ended_to_sampleable_s': sampleable,
        'back_s': back,
        'memory_growth': grown,
        'faults': records.faults,
        'unasked_deaths': records.unasked,
        'memory_mb': records.memory,
    }  # fmt: skip


def write(folder: Path, facts: dict[str, Any], account: Account) -> tuple[Path, Path]:
    """Write soak.json and soak.html into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / 'soak.json', folder / 'soak.html'
    data.write_text(json.dumps(facts, indent=1) + '\n')
    page.write_text(_page(facts, _plots(facts, account)))
    return data, page


def _page(facts: dict[str, Any], picture: bytes) -> str:
    rows = ''.join(
        f'<tr><td>{html.escape(name)}</td><td>{"yes" if met else "<b>no</b>"}</td></tr>'
        for name, met in facts['verdicts'].items()
    )
    shown = {k: v for k, v in facts.items() if k not in ('memory_mb', 'verdicts')}
    image = base64.b64encode(picture).decode('ascii')
    return (
        '<!doctype html><meta charset="utf-8"><title>Soak</title>'
        '<style>body{font:15px sans-serif;max-width:1100px;margin:2em auto}td{padding:2px 12px}'
        'img{width:100%}pre{background:#f4f4f4;padding:1em;overflow:auto}</style>'
        f'<h1>{html.escape(facts["options"]["robots"])} robots, '
        f'{html.escape(facts["options"]["minutes"])} minutes</h1><p>{html.escape(facts["machine"])}</p>'
        f'<table>{rows}</table><img alt="latencies, recovery, memory" src="data:image/png;base64,{image}">'
        f'<pre>{html.escape(json.dumps(shown, indent=1))}</pre>'
    )


def _plots(facts: dict[str, Any], account: Account) -> bytes:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8))
    for axis, values, title in (
        (axes[0, 0], account.sampleable_s, 'episode end to sampleable, s'),
        (axes[0, 1], account.loaded_s, 'published to loaded, s'),
    ):
        if values:
            axis.hist(values, bins=40)
        axis.set_title(title)
    names = sorted(facts['back_s'])
    for index, name in enumerate(names):
        values = [v for v in facts['back_s'][name] if v is not None]
        axes[1, 0].plot([index] * len(values), values, 'o')
    axes[1, 0].axhline(BACK_LIMIT_S, linestyle='--', color='grey')
    axes[1, 0].set_xticks(range(len(names)), [name.removeprefix('kill ') for name in names])
    axes[1, 0].set_title('back after a kill, s')
    for kind, series in sorted(facts['memory_mb'].items()):
        axes[1, 1].plot([t / 60 for t, _ in series], [mb for _, mb in series], label=kind)
    axes[1, 1].set_title('memory of all processes of a kind, MB over minutes')
    axes[1, 1].set_yscale('log')
    axes[1, 1].legend()
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format='png', dpi=80)
    pyplot.close(figure)
    return out.getvalue()


__all__ = ['facts_of', 'read_lines', 'write']
