"""What became of every episode and every version: the soak's verdict, from what is on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Spells = Mapping[str, Sequence[tuple[float, float]]]
"""By robot: (wall clock when it began, when it ended), s."""
Delay = tuple[float, float]
"""(wall clock when it began, s; how long it took, s)."""


@dataclass(slots=True)
class Account:
    """Counts and latencies of a run."""

    announced: int = 0
    """Episodes that robots began."""
    ended: int = 0
    """Of them recorded whole and ended by the robot itself: each of these must arrive."""
    interrupted: int = 0
    """Of them, or ended for them, while the recorder was dead: these may arrive in part, or be set aside."""
    sampleable: int = 0
    """Announced episodes in the replay."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Interrupted episodes that were set aside, with the reason."""
    lost: dict[str, str] = field(default_factory=dict)
    """Ended and not in the replay, with the reason if set aside; interrupted and neither there nor set aside."""
    doubled: list[str] = field(default_factory=list)
    """More than once in the replay."""
    bad_versions: dict[int, str] = field(default_factory=dict)
    """What was published to be refused."""
    bad_refused: dict[int, int] = field(default_factory=dict)
    """Robots that refused it, by version."""
    bad_activated: list[str] = field(default_factory=list)
    """Robots that used one."""
    loaded: list[Delay] = field(default_factory=list)
    """Published to loaded; robots that were off or cut off left out."""
    sampleable_after: list[Delay] = field(default_factory=list)
    """Episode end to sampleable; what ended while its robot was cut off left out."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole JSON lines of a file; none when it is not there."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # torn by a kill
    return found


def settle(home: Path, in_replay: Iterable[str], cut_off: Spells, unrecorded: Spells) -> Account:
    """Compare what was announced with what arrived.

    Args:
        home: the run's folder.
        in_replay: episode ids in the replay, one for each time they are there.
        cut_off: spells of each robot without a connection.
        unrecorded: spells of each robot without a recorder.
    """
    account = Account()
    entries = [
        e for path in sorted((home / 'announced').glob('*.jsonl')) for e in read_lines(path)
    ]
    began = {e['episode_id']: e for e in entries if e['what'] == 'begin'}
    ended = {e['episode_id']: e for e in entries if e['what'] == 'end'}
    whole = {
        name
        for name, end in ended.items()
        if end['by'] != 'recorder'
        and not _away(unrecorded, end['robot_id'], began[name]['wall_s'], end['wall_s'])
    }
    journal = read_lines(home / 'train' / 'ingest.jsonl')
    counts = Counter(in_replay)
    account.announced, account.ended = len(began), len(whole)
    account.interrupted = len(ended) - len(whole)
    account.sampleable = len(began & counts.keys())
    aside = {e['episode_id']: e['quarantined'] for e in journal if e['quarantined'] is not None}
    for path in (home / 'robots').glob('*/spool/quarantine/[!_]*'):
        aside.setdefault(path.name, 'set aside in the spool')
    account.quarantined = {name: why for name, why in aside.items() if name not in whole}
    missing = (whole | ended.keys() - aside.keys()) - counts.keys()
    account.lost = {name: aside.get(name, 'did not arrive') for name in sorted(missing)}
    account.doubled = sorted(name for name, count in counts.items() if count > 1)
    account.sampleable_after = [
        (e['ended_wall_s'], e['sampleable_wall_s'] - e['ended_wall_s'])
        for e in journal
        if e['quarantined'] is None
        and not e['duplicate']
        and not _away(cut_off, e['robot_id'], e['ended_wall_s'], e['ended_wall_s'])
    ]
    _versions(account, home, cut_off)
    return account


def _versions(account: Account, home: Path, cut_off: Spells) -> None:
    account.bad_versions = {e['version']: e['fault'] for e in read_lines(home / 'bad.jsonl')}
    refused: dict[int, set[str]] = {version: set() for version in account.bad_versions}
    for event in read_lines(home / 'train' / 'weights.jsonl'):
        bad = event['version'] in account.bad_versions
        if event['event'] == 'refused' and bad:
            refused[event['version']].add(event['robot_id'])
        elif event['event'] == 'active' and bad:
            account.bad_activated.append(f'{event["robot_id"]}: version {event["version"]}')
        elif event['event'] == 'loaded' and event['present']:
            published_s, loaded_s = event['published_wall_s'], event['loaded_wall_s']
            if not _away(cut_off, event['robot_id'], published_s, loaded_s):
                account.loaded.append((published_s, loaded_s - published_s))
    account.bad_refused = {version: len(robots) for version, robots in refused.items()}


def _away(spells: Spells, robot: str, begin_s: float, end_s: float) -> bool:
    """Whether one of a robot's spells lies at any time from begin to end."""
    return any(began <= end_s and begin_s <= ended for began, ended in spells.get(robot, []))


def percentiles(values: list[float]) -> dict[str, float]:
    """P50, P99 and the largest, s; empty for no values."""
    if not values:
        return {}
    p50, p99 = np.percentile(values, [50, 99])
    return {'n': len(values), 'p50': round(float(p50), 3), 'p99': round(float(p99), 3),
            'max': round(max(values), 3)}  # fmt: skip


def growth(series: list[tuple[float, float]]) -> float:
    """Median of the last quarter over that of the second quarter of (time, value); 1 = flat, 0 = too short."""
    if len(series) < 8:
        return 0.0
    values = [value for _, value in series]
    quarter = len(values) // 4
    return float(np.median(values[-quarter:]) / np.median(values[quarter : 2 * quarter]))
