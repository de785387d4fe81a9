"""Tables come from what was measured and kept, thinned, without the runs themselves."""

from __future__ import annotations

import json
import shutil

import pytest
import tyro

from bench.ogbench import report


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / 'runs' / 'scene-divl-small-seed0'
    folder.mkdir(parents=True)
    config = {
        'family': 'scene',
        'method': 'divl',
        'quantile': 'interpolated',
        'tau_base': 0.9,
        'n': 10,
        'size': 'small',
        'seed': 0,
        'transitions': 1_000_000,
    }
    (folder / 'config.json').write_text(json.dumps(config))
    lines = [
        {'kind': 'training', 'update': u, 'wall_s': u / 10, 'cpu_s': u / 20, 'skipped': 0}
        | {'critic/q_mean': -u / 1000, 'critic/target_mean': -u / 1000}
        for u in range(100, 50_001, 100)
    ]
    found = {'kind': 'evaluation', 'update': 50_000, 'policy': 'flow', 'successes': 9}
    lines.append(found | {'episodes': 20, 'low': 0.26, 'high': 0.66})
    (folder / 'results.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return tmp_path / 'runs'


def test_tables_are_made_of_what_was_kept_without_the_runs(tmp_path, runs, monkeypatch):
    document = tmp_path / 'benchmarks.md'
    document.write_text(f'before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n')
    config = report.ReportConfig(
        runs, tmp_path / 'measured', document, tmp_path / 'pictures' / 'curves.png'
    )
    monkeypatch.setattr(tyro, 'cli', lambda *_, **__: config)
    report.main()
    written = document.read_text()
    assert (
        '| scene 2 | DIVL + QAM, tau 0.9, n 10, 2 x 256x4 | 1,000,000 | 0 | 50,000 | 45 % (26-66) | 80 |'
        in written
    )
    assert '| 50,000 | 2,500 | 5,000 | 50 | 0 | -0.1 -> -50.0 |' in written
    assert written.startswith('before') and written.endswith('after\n') and 'old' not in written
    assert config.picture.stat().st_size > 1000
    kept = (tmp_path / 'measured' / 'scene-divl-small-seed0' / 'results.jsonl').read_text()
    assert kept.count('"training"') == 51  # the first, and one in ten
    shutil.rmtree(runs)
    report.main()
    assert document.read_text() == written
