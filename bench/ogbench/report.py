"""``python -m bench.ogbench.report``: curves as a picture, and the tables of docs/benchmarks.md.

Reads the results of all runs, and writes only what they hold: a copy beside this file first, a line in ten of the
training's, so that tables and picture can be made again without the runs. The tables stand between two marks of the
document.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from bench.ogbench.place import root
from bench.ogbench.run_folder import read_results
from bench.ogbench.tasks import PUBLISHED, PUBLISHED_EVERY, TASKS

METHODS = {'qam': 'QAM', 'divl': 'DIVL + QAM'}
KEPT_EVERY = 1000
"""Updates between two of the training's lines that are kept."""
MARKS = ('<!-- ogbench: begin -->', '<!-- ogbench: end -->')


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Draw curves and write tables."""

    runs: Path | None = None
    """Folder of runs; by default runs/ogbench/runs."""
    measured: Path = Path(__file__).parent / 'measured'
    """Where their results are kept; tables and picture are of all that is there."""
    document: Path = Path('docs/benchmarks.md')
    """Document whose tables are replaced."""
    picture: Path = Path('docs/pictures/ogbench.png')
    """Curves."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished or unfinished run."""

    folder: str
    """Its folder's name."""
    config: dict[str, Any]
    """As it was given."""
    lines: list[dict[str, Any]]
    """Results."""

    @property
    def name(self) -> str:
        """Method and networks, as in the tables."""
        size = {'public': '10 x 512x4', 'small': '2 x 256x4'}[self.config['size']]
        method = METHODS[self.config['method']]
        if self.config['method'] == 'divl':
            atom = ', first atom' if self.config['quantile'] == 'first_atom' else ''
            method = f'{method}, tau {self.config["tau_base"]}{atom}'
        chunks = f', n {self.config["n"]}' if self.config['n'] > 1 else ''
        return f'{method}{chunks}, {size}'

    def evaluations(self, policy: str) -> list[dict[str, Any]]:
        """Evaluations of the flow or the reference, in order."""
        return [line for line in self.lines if line.get('policy') == policy]

    def training(self) -> list[dict[str, Any]]:
        """Means of the updates, in order."""
        return [line for line in self.lines if line['kind'] == 'training']


def main() -> None:
    """Write picture and tables."""
    config = tyro.cli(ReportConfig, prog='report', description=__doc__)
    for run in read_runs(config.runs or root() / 'runs'):
        keep(run, config.measured)
    runs = read_runs(config.measured)
    draw(runs, config.picture)
    before, rest = config.document.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    config.document.write_text(f'{before}{MARKS[0]}\n{tables(runs)}{MARKS[1]}{after}')


def read_runs(folder: Path) -> list[Run]:
    """All runs below a folder."""
    return [
        Run(path.parent.name, json.loads(path.read_text()), read_results(path.parent))
        for path in sorted(folder.glob('*/config.json'))
    ]


def keep(run: Run, measured: Path) -> None:
    """Copy a run's configuration and results, of the training's lines every KEPT_EVERY updates and the first."""
    folder = measured / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'config.json').write_text(json.dumps(run.config, indent=1) + '\n')
    first = run.lines[0]['update'] if run.lines else 0
    lines = [
        line
        for line in run.lines
        if line['kind'] != 'training'
        or line['update'] % KEPT_EVERY == 0
        or line['update'] == first
    ]
    text = ''.join(json.dumps(line, default=float) + '\n' for line in lines)
    (folder / 'results.jsonl').write_text(text)


def published(family: str, update: int) -> str:
    """Published success at an update, % (mean of 12 seeds), or what there is next to it."""
    at = update // PUBLISHED_EVERY
    if update % PUBLISHED_EVERY == 0 and 0 < at <= len(PUBLISHED[family]):
        return str(PUBLISHED[family][at - 1])
    return '-'


def tables(runs: list[Run]) -> str:
    """Success by updates, and what a run cost, as Markdown."""
    out = [
        '| task | method, critics | transitions | seed | updates | success (95 %) | published |'
    ]
    out.append('|---|---|---|---|---|---|---|')
    for run in runs:
        c = run.config
        head = f'{c["family"]} {TASKS[c["family"]].number}'
        for policy, name in (('flow', run.name), ('reference', f'its clone, {run.name}')):
            out += [
                f'| {head} | {name} | {c["transitions"]:,} | {c["seed"]} | {line["update"]:,} '
                f'| {success(line)} | {published(c["family"], line["update"])} |'
                for line in run.evaluations(policy)
            ]
    if len(out) == 2:
        out = ['No run has come to an evaluation yet.']
    out += [
        '',
        '| run | updates | CPU s | wall s | CPU ms an update | skipped | Q, first -> last |',
    ]
    out.append('|---|---|---|---|---|---|---|')
    for run in runs:
        lines = run.training()
        if lines:
            last = lines[-1]
            q = f'{lines[0]["critic/q_mean"]:.1f} -> {last["critic/q_mean"]:.1f}'
            each = 1e3 * last['cpu_s'] / last['update']
            out.append(
                f'| {run.config["family"]}, {run.name} | {last["update"]:,} | {last["cpu_s"]:,.0f} '
                f'| {last["wall_s"]:,.0f} | {each:.0f} | {last["skipped"]} | {q} |'
            )
    return '\n'.join(out) + '\n'


def success(line: dict[str, Any]) -> str:
    """E.g. 80 % (67-89)."""
    share = 100 * line['successes'] / line['episodes']
    return f'{share:.0f} % ({100 * line["low"]:.0f}-{100 * line["high"]:.0f})'


def draw(runs: list[Run], path: Path) -> None:
    """Success with intervals, and the critic's mean, over updates; the published curve beside them."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    families = [f for f in TASKS if any(r.config['family'] == f for r in runs)]
    figure, axes = pyplot.subplots(
        len(families), 2, figsize=(9, 3 * len(families)), squeeze=False, layout='constrained'
    )
    for family, (left, right) in zip(families, axes, strict=True):
        of_family = [r for r in runs if r.config['family'] == family]
        for number, run in enumerate(of_family):
            colour = f'C{number}'
            for policy, style in (('flow', 'o-'), ('reference', 'x:')):
                lines = run.evaluations(policy)
                at = [line['update'] for line in lines]
                value = [100 * line['successes'] / line['episodes'] for line in lines]
                label = run.name if policy == 'flow' else None
                left.plot(at, value, style, color=colour, label=label, markersize=4)
                if policy == 'flow':
                    low, high = ([100 * line[k] for line in lines] for k in ('low', 'high'))
                    left.fill_between(at, low, high, color=colour, alpha=0.15)
            lines = run.training()
            at = [line['update'] for line in lines]
            lost = len(lines) < 3  # only its ends are known: no curve between them
            styles = ('o', ' ') if lost else ('-', ':')
            for key, style in zip(('critic/q_mean', 'critic/target_mean'), styles, strict=True):
                right.plot(at, [line[key] for line in lines], style, color=colour, linewidth=1)
        end = max((line['update'] for run in of_family for line in run.lines), default=0)
        marks = [(i + 1) * PUBLISHED_EVERY for i in range(len(PUBLISHED[family]))]
        shown = [u for u in marks if u <= max(1.5 * end, 2 * PUBLISHED_EVERY)]
        values = PUBLISHED[family][: len(shown)]
        left.plot(shown, values, 's--', color='grey', label='published QAM, 10 x 512x4')
        left.set(
            title=f'{family}, task {TASKS[family].number}',
            xlabel='updates',
            ylabel='success, %',
            ylim=(-3, 103),
            xlim=(0, None),
        )
        right.set(title='mean Q (line) and its target (dots)', xlabel='updates')
        left.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == '__main__':
    main()
