"""``python -m bench.methods.report``: the tables of docs/benchmarks_methods.md, and a picture, from results.jsonl."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from lwd_learner.evaluation import wilson

from bench.methods.config import default_folder
from bench.methods.entries import ENTRIES, METHOD_NAMES
from bench.methods.results import CONFIRMED, Kinship, Results, key_of, kinship

MARKS = ('<!-- methods: begin -->', '<!-- methods: end -->')
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Draw and write what the results hold."""

    folder: Path = field(default_factory=default_folder)
    """Of the comparison."""
    document: Path = Path('docs/benchmarks_methods.md')
    """Document whose tables are replaced."""
    picture: Path = Path('docs/pictures/methods.png')
    """Success over rounds; not drawn without results."""


def main() -> None:
    """Write tables and picture."""
    config = tyro.cli(ReportConfig, prog='report', description=__doc__)
    results = Results(config.folder)
    lines, confirmed = results.lines(), Results(config.folder, CONFIRMED).lines()
    before, rest = config.document.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    shown = tables(lines, results.settings()) + on_other_scenes(confirmed, lines)
    config.document.write_text(f'{before}{MARKS[0]}\n{shown}{MARKS[1]}{after}')
    if any('test' in line for line in lines):
        draw(lines, config.picture)


def pooled(lines: list[Line]) -> str:
    """Success over all seeds' episodes: share, Wilson's interval, and each seed's share."""
    tests = [line['test'] for line in sorted(lines, key=lambda r: r['seed']) if 'test' in line]
    if not tests:
        return '-'
    k, n = sum(t['k'] for t in tests), sum(t['n'] for t in tests)
    low, high = wilson(k, n)
    each = ', '.join(f'{t["k"] / t["n"]:.2f}' for t in tests)
    return f'{k}/{n} = {k / n:.2f} ({low:.2f}-{high:.2f}); by seed {each}'


def mean_of(lines: list[Line], *path: str) -> str:
    """Mean over the lines that have a figure, or a dash."""
    found = []
    for line in lines:
        value: Any = line
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found.append(value)
    return f'{sum(found) / len(found):.3g}' if found else '-'


def grouped(lines: list[Line]) -> dict[tuple[str, str, int], list[Line]]:
    """Lines of all seeds by task, method, round; methods in the order of entries.py."""
    order = list(ENTRIES)
    groups: dict[tuple[str, str, int], list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda r: (r['task'], order.index(r['method']), r['round'])):
        groups[line['task'], line['method'], line['round']].append(line)
    return groups


def tables(lines: list[Line], settings: dict[str, Any]) -> str:
    """Success, and what the critic and the policy did, as Markdown; says so when there are no results."""
    if not lines:
        return 'No results yet.\n'
    shown = ', '.join(f'{k} {v}' for k, v in settings.items())
    machines = ', '.join(sorted({line['machine'] for line in lines}))
    out = [f'Settings: {shown}. Machine: {machines}.', '']
    out += [
        '| task | method | round | success (95 %) | cycle, s | AUC first s | AUC later | CPU s |'
    ]
    out.append('|---|---|---|---|---|---|---|---|')
    for (task, method, round_), of in grouped(lines).items():
        if tested := [line for line in of if 'test' in line]:
            mark = '' if all('policy_sha256' in line for line in tested) else ' †'
            out.append(
                f'| {task} | {method}{mark} | {round_} | {pooled(of)} | {mean_of(of, "test", "cycle_s")} '
                f'| {mean_of(of, "measured", "held_out/auc_first_second")} '
                f'| {mean_of(of, "measured", "held_out/auc_later")} | {mean_of(of, "cpu_s")} |'
            )
    out += [
        '',
        '† of a time when lines did not keep the digest of their policy yet.',
        '',
        '| task | method | round | won with help | won alone | human share | shift asked | learned '
        '| drift from SFT | Q gained |',
    ]
    out.append('|---|---|---|---|---|---|---|---|---|---|')
    for (task, method, round_), of in grouped(lines).items():
        if any('measured' in line for line in of):
            acted = [line['acted'] for line in of if 'acted' in line]
            n = sum(a['episodes'] for a in acted)
            won, alone = (
                f'{sum(a[k] for a in acted)}/{n}' if n else '-'
                for k in ('successes', 'successes_alone')
            )
            out.append(
                f'| {task} | {method} | {round_} | {won} | {alone} '
                f'| {mean_of(of, "acted", "human_share")} '
                f'| {mean_of(of, "losses", "actor/shift_asked")} '
                f'| {mean_of(of, "losses", "actor/shift_learned")} '
                f'| {mean_of(of, "measured", "action_drift")} | {mean_of(of, "measured", "q_gain")} |'
            )
    return '\n'.join(out) + '\n'


SCENES = {
    Kinship.SAME: 'The same policies on scenes {}, which nothing else has looked at:',
    Kinship.UNKNOWN: 'Scenes {}, which nothing else has looked at. These lines do not say of which policies they are, '
    'those of the first table or such as were trained before them:',
    Kinship.OTHER: 'Scenes {}, which nothing else has looked at, and other policies than those of the first table, '
    'which were trained anew since:',
}
"""What stands above the lines of `confirm`, by what is known of their policies."""


def on_other_scenes(confirmed: list[Line], lines: list[Line]) -> str:
    """Success of `confirm` as Markdown, beside the comparison's `lines`; nothing if there is none."""
    evaluated = {key_of(line): line for line in lines}
    out = []
    for kind, heading in SCENES.items():
        of_kind = [r for r in confirmed if kinship(r, evaluated.get(key_of(r), {})) is kind]
        if not of_kind:
            continue
        first, last = of_kind[0]['test']['seeds']
        out += ['', heading.format(f'{first:,} to {last:,}'), '']
        out += ['| task | method | round | success (95 %) | cycle, s |', '|---|---|---|---|---|']
        for (task, method, round_), of in grouped(of_kind).items():
            cycle_s = mean_of(of, 'test', 'cycle_s')
            out.append(f'| {task} | {method} | {round_} | {pooled(of)} | {cycle_s} |')
    return '\n'.join(out) + '\n' if out else ''


def draw(lines: list[Line], path: Path) -> None:
    """Success over rounds, a panel per task, a curve per method, intervals of all seeds' episodes together.

    Ablations are dashed; those that stayed offline are left to the table.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    tasks = sorted({line['task'] for line in lines if 'test' in line})
    figure, axes = pyplot.subplots(
        1, len(tasks), figsize=(5 * len(tasks), 4.6), squeeze=False, layout='constrained'
    )
    groups = grouped([line for line in lines if 'test' in line])
    for panel, task in zip(axes[0], tasks, strict=True):
        online = {m for t, m, round_ in groups if t == task and round_ > 0}
        shown = online.union(METHOD_NAMES)
        methods = [m for m in dict.fromkeys(m for t, m, _ in groups if t == task) if m in shown]
        for number, method in enumerate(methods):
            rounds = [r for t, m, r in groups if (t, m) == (task, method)]
            value, below, above = [], [], []
            for round_ in rounds:
                tests = [line['test'] for line in groups[task, method, round_]]
                k, n = sum(t['k'] for t in tests), sum(t['n'] for t in tests)
                low, high = wilson(k, n)
                value.append(k / n)
                below.append(k / n - low)
                above.append(high - k / n)
            at = [r + 0.04 * number for r in rounds]
            style = 'o-' if method in METHOD_NAMES else 's--'
            colour = f'C{list(ENTRIES).index(method) % 10}'
            panel.errorbar(
                at, value, (below, above), fmt=style, color=colour, label=method, capsize=2, ms=4
            )
        panel.set(title=task, xlabel='online round (0: offline)', ylabel='success', ylim=(0, 1.03))
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(fontsize=7, ncols=3, loc='upper center', bbox_to_anchor=(0.5, -0.13))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == '__main__':
    main()
