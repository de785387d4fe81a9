"""The demo's report as one page that needs nothing else: figures, camera strips, every number."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from lwd_bringup.demo import figures
from lwd_bringup.demo.fleet import Fleet
from lwd_bringup.demo.home import Home
from lwd_bringup.demo.records import Records, loaded_s, sampleable_s
from lwd_bringup.demo.strips import Strip, make_strip

LOSSES = ('sft/loss', 'critic/loss', 'actor/loss', 'clone/loss')
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.figures { display: flex; flex-wrap: wrap; gap: 1rem } .figures figure { margin: 0 }
figcaption { color: #666; font-size: .85rem } table { border-collapse: collapse }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
.strip img { width: 88px; height: 88px; image-rendering: pixelated } .strip { margin-bottom: 1rem }
.verdict { font-size: 1.1rem; padding: .6rem .9rem; background: #eef6f8; border-left: 4px solid #2a7f9e }
"""


def write_page(home: Home, report: dict[str, Any], fleet: Fleet, records: Records) -> Path:
    """Write report.html beside report.json; return its path."""
    path = home.path / 'report.html'
    path.write_text(_page(home, report, fleet, records))
    return path


def _page(home: Home, report: dict[str, Any], fleet: Fleet, records: Records) -> str:
    rows = [row for row in records.ingest.rows if row.get('episode_id') in fleet.episodes]
    for row in rows:
        row.setdefault('takeovers', fleet.episodes[row['episode_id']].takeovers)
    drawn = (
        (
            figures.success_by_stage(report['success']),
            'Evaluation after each stage, the same scenes each time',
        ),
        (figures.deployment(rows), 'In deployment'),
        (figures.curves(records.metrics.rows, LOSSES), 'Losses'),
        (
            figures.latencies(
                {
                    'episode end to sampleable': sampleable_s(rows),
                    'published to loaded': loaded_s(records.weights.rows),
                }
            ),
            'Latencies of the pipeline',
        ),
    )
    blocks = ''.join(
        f'<figure>{svg}<figcaption>{caption}</figcaption></figure>' for svg, caption in drawn
    )
    strips = ''.join(_strip(strip) for strip in _strips(home, fleet))
    numbers = ''.join(
        f'<tr><th>{html.escape(name)}</th><td>{_value(value)}</td></tr>'
        for name, value in report.items()
        if name != 'verdict'
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Learning while deploying: demo</title>'
        f'<style>{STYLE}</style><h1>Learning while deploying: the demo</h1>'
        f'<p class="verdict">{html.escape(report["verdict"])}</p>'
        f'<div class="figures">{blocks}</div>'
        f'<h2>What the cameras saw</h2>{strips or "<p>No episode was delivered.</p>"}'
        f'<h2>Every number</h2><table>{numbers}</table></html>\n'
    )


def _strips(home: Home, fleet: Fleet) -> list[Strip]:
    """The fleet's first and last success without help, a rescue and a failure, as far as there are."""
    episodes = list(fleet.episodes.values())
    alone = [
        episode for episode in episodes if episode.outcome == 'success' and not episode.takeovers
    ]
    helped = [
        episode for episode in episodes if episode.outcome == 'success' and episode.takeovers
    ]
    failed = [episode for episode in episodes if episode.outcome == 'failure']
    wanted = (
        ('first success alone', alone[:1]),
        ('last success alone', alone[-1:]),
        ('a rescue', helped[-1:]),
        ('a failure', failed[-1:]),
    )
    found = [
        make_strip(home.store, episode.episode_id, f'{title}: {episode.episode_id}')
        for title, chosen in wanted
        for episode in chosen
    ]
    return [strip for strip in found if strip is not None]


def _strip(strip: Strip) -> str:
    rows = ''.join(
        f'<div>{"".join(f"<img src={uri!r} alt={camera!r}>" for uri in uris)}</div>'
        for camera, uris in strip.rows.items()
    )
    return f'<div class="strip"><p>{html.escape(strip.title)}</p>{rows}</div>'


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return '<br>'.join(
            f'{html.escape(str(name))}: {html.escape(str(item))}' for name, item in value.items()
        )
    if isinstance(value, list):
        return '<br>'.join(html.escape(str(item)) for item in value) or '-'
    return html.escape(str(value))
