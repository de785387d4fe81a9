"""The soak's report as a page."""

from __future__ import annotations

from collections import Counter
from typing import Any


def page_of(facts: dict[str, Any], picture: str, data: str) -> str:
    """Return Markdown that names `picture` and `data`, files beside it."""
    options = facts['options']
    episodes, weights = facts['episodes'], facts['weights']
    minutes = facts['under_load_s'] / 60
    lines = [
        '# Soak',
        '',
        f'{options["robots"]} light robots, {minutes:.1f} minutes under load, seed {options["seed"]}, a fault every '
        f'{options["fault_every_s"]} s, a version of {options["megabytes"]} MB every {options["publish_every_s"]} s. '
        f'On {facts["machine"]}.',
        '',
        f'Written by `{_command(facts)}`; every figure is in [{data}]({data}). What a soak is and how to read it: '
        '[docs/fleet.md](../fleet.md#soak).',
        '',
        '| target | met |',
        '|---|---|',
        *(f'| {name} | {"yes" if met else "**no**"} |' for name, met in facts['verdicts'].items()),
        '',
        f'![episodes, weights, recovery and memory over the run]({picture})',
        '',
        '| | n | P50 s | P99 s | longest s |',
        '|---|---|---|---|---|',
        _row('episode end to sampleable', facts['ended_to_sampleable_s']),
        _row('published to loaded', weights['published_to_loaded_s']),
        *(_recovered(name, values) for name, values in sorted(facts['back_s'].items())),
        '',
        f'**Episodes.** {episodes["announced"]} begun, {episodes["ended"]} ended by their robots, '
        f'{episodes["interrupted"]} cut short by a killed recorder; {episodes["sampleable"]} in the replay, '
        f'{len(episodes["lost"])} lost, {len(episodes["doubled"])} doubled; of those cut short '
        f'{len(episodes["quarantined"])} set aside.',
        '',
        *(f'- lost: `{name}`: {why}' for name, why in episodes['lost'].items()),
        *(f'- set aside: `{name}`: {why}' for name, why in episodes['quarantined'].items()),
        *(f'- doubled: `{name}`' for name in episodes['doubled']),
        f'**Weights.** {_bad(weights)}',
        '',
        f'**Faults.** {_faults(facts["faults"])}. {_deaths(facts["unasked_deaths"])}',
        '',
        '**Memory**, last quarter over second quarter: '
        + ', '.join(f'{kind} {value:g}' for kind, value in sorted(facts['memory_growth'].items()))
        + '. The store, SeaweedFS, keeps what it is given in memory and is not judged; nor is a run of less than 15 '
        'minutes.',
    ]  # fmt: skip
    return '\n'.join(lines) + '\n'


def _command(facts: dict[str, Any]) -> str:
    options = facts['options']
    minutes = float(options['minutes'])
    arguments = f'--seed {options["seed"]} --fault-every-s {float(options["fault_every_s"]):g}'
    return f"make soak ROBOTS={options['robots']} MINUTES={minutes:g} ARGS='{arguments}'"


def _row(name: str, figures: dict[str, float]) -> str:
    if not figures:
        return f'| {name} | 0 | | | |'
    return f'| {name} | {figures["n"]} | {figures["p50"]:.2f} | {figures["p99"]:.2f} | {figures["max"]:.2f} |'


def _recovered(name: str, values: list[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    missing = len(values) - len(known)
    middle = f'{known[len(known) // 2]:.2f}' if known else ''
    longest = f'**{missing} not within a minute**' if missing else f'{known[-1]:.2f}'
    return f'| back after: {name} | {len(values)} | {middle} | | {longest} |'


def _bad(weights: dict[str, Any]) -> str:
    kinds = Counter(weights['bad_versions'].values())
    named = ', '.join(
        f'{count} {kind.removeprefix("a ").removeprefix("an ")}'
        for kind, count in sorted(kinds.items())
    )
    refusals = sum(weights['refused_by'].values())
    used = '; '.join(weights['bad_activated']) or 'none was used'
    total = sum(kinds.values())
    return f'{total} bad versions ({named or "none"}), refused {refusals} times by robots; {used}.'


def _faults(faults: list[dict[str, Any]]) -> str:
    counts = Counter(str(fault['fault']) for fault in faults)
    return ', '.join(f'{name}: {count}' for name, count in sorted(counts.items())) or 'None'


def _deaths(unasked: list[str]) -> str:
    return f'Died without a fault: {"; ".join(unasked)}.' if unasked else 'Nothing else died.'
