"""The demo's bookkeeping: what counts as delivered, doubled, risen; a second demo; a free domain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lwd_bringup.demo.domain import DomainInUseError, choose_domain, is_free
from lwd_bringup.demo.fleet import EpisodeView, Fleet
from lwd_bringup.demo.home import HomeError, open_home
from lwd_bringup.demo.options import DemoOptions
from lwd_bringup.demo.page import LOSSES
from lwd_bringup.demo.records import JsonLines, Records, percentile
from lwd_bringup.demo.report import make_report, verdict
from lwd_bringup.demo.story import Story
from lwd_bringup.demo.view import render
from lwd_learner.child_process import MARK, Process, end_marked, marked_processes
from lwd_learner.training.status import SHOWN
from rich.console import Console


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_report_counts_each_episode_once_and_names_the_missing(tmp_path: Path) -> None:
    fleet = Fleet()
    for name in ('a', 'b', 'c'):
        fleet.episodes[name] = EpisodeView(name, 'g1_01', 'success', takeovers=1)
    row = {'ended_wall_s': 10.0, 'sampleable_wall_s': 11.5}
    write_lines(
        tmp_path / 'ingest.jsonl',
        [
            {'episode_id': 'a', **row},
            {'episode_id': 'b', **row},
            {'episode_id': 'b', 'duplicate': True},
            {'episode_id': 'demonstration-1', **row},
        ],
    )
    (tmp_path / 'status.json').write_text(json.dumps({'short': {'sft': 'sft had 9 of 99 steps'}}))
    report = make_report(fleet, Records(tmp_path), 1.0, [])
    assert report['notes'] == ['sft had 9 of 99 steps']
    assert report['episodes_started'] == 3
    assert report['episodes_delivered'] == 2
    assert report['episodes_duplicated'] == 0
    assert report['duplicate_deliveries_ignored'] == 1
    assert report['episodes_missing'] == ['c']
    assert report['interventions'] == 3
    assert report['episode_to_sampleable_s'] == {'p50': 1.5, 'p99': 1.5, 'n': 2}


def test_the_view_has_figures_only_of_what_was_measured(tmp_path: Path) -> None:
    counts = {str(v): {'n': v + 5, 'k': v, 'helped': 2} for v in range(1, 10)}
    status = {'stage': 'online', 'success_by_version': counts}

    def shown(fleet: Fleet) -> str:
        records = Records(tmp_path)
        records.refresh()
        console = Console(width=120)
        with console.capture() as captured:
            console.print(render('a phase', fleet, records, status, 3.0))
        return captured.get()

    assert 'episode end -> sampleable -; published -> loaded -' in shown(Fleet())
    assert 'without help, by version: v2 2/7  v3 3/8' in shown(Fleet())
    fleet = Fleet()
    fleet.episodes['a'] = EpisodeView('a', 'g1_01', 'success', takeovers=1)
    row = {'episode_id': 'a', 'ended_wall_s': 10.0, 'sampleable_wall_s': 11.5}
    write_lines(tmp_path / 'ingest.jsonl', [row])
    assert 'episode end -> sampleable P50 1.5 s, P99 1.5 s; published' in shown(fleet)


def test_verdict_claims_a_rise_only_when_intervals_part() -> None:
    figures = {
        'sft': {'n': 100, 'k': 50},
        'offline': {'n': 100, 'k': 60},
        'online': {'n': 100, 'k': 90},
    }
    assert verdict(figures).startswith('Success rose from 0.50')
    assert 'overlap' in verdict({**figures, 'online': {'n': 100, 'k': 55}})
    assert 'did not rise' in verdict({**figures, 'online': {'n': 100, 'k': 50}})
    assert verdict({}).startswith('Not evaluated')


def test_percentile_is_nearest_rank() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(i) for i in range(1, 101)], 0.99) == 99.0
    assert percentile([], 0.5) is None


def test_torn_last_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / 'rows.jsonl'
    path.write_text('{"a": 1}\n{"a": ')
    lines = JsonLines(path)
    assert lines.refresh() == [{'a': 1}]
    with path.open('a') as file:
        file.write('2}\n')
    assert lines.refresh() == [{'a': 1}, {'a': 2}]


def test_second_demo_in_the_same_folder_is_refused_and_an_earlier_run_is_kept(
    tmp_path: Path,
) -> None:
    first = open_home(tmp_path / 'demo')
    (first.path / 'report.json').write_text('{}')
    with pytest.raises(HomeError, match=rf'pid {os.getpid()}.*--home'):
        open_home(tmp_path / 'demo')
    first.lock.close()
    second = open_home(tmp_path / 'demo')
    assert not (second.path / 'report.json').exists()
    assert len(list(tmp_path.glob('demo-*/report.json'))) == 1


def test_the_losses_drawn_are_ones_that_the_learner_logs_and_cloning_beside_rl_is_among_them() -> (
    None
):
    assert set(LOSSES) <= set(SHOWN)
    assert {'sft/loss', 'clone/loss'} <= set(LOSSES)


def test_used_domain_is_refused_by_name() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(('0.0.0.0', 7400 + 250 * 97 + 10))
        assert not is_free(97)
        with pytest.raises(DomainInUseError, match='97'):
            choose_domain(97)
        assert choose_domain(None) != 97


def test_two_runs_that_start_together_get_two_domains() -> None:
    """Long before the first of them has a participant there; what has ended keeps nothing."""
    code = 'from lwd_bringup.demo.domain import choose_domain; print(choose_domain(None), flush=True); input()'
    run = subprocess.Popen(
        [sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with run:
        assert run.stdout is not None
        theirs = int(run.stdout.readline())
        assert choose_domain(None) != theirs
        with pytest.raises(DomainInUseError, match=f'{theirs} is in use'):
            choose_domain(theirs)
        run.communicate('\n')
    assert choose_domain(theirs) == theirs


@pytest.mark.parametrize('domain', [-1, 102, 300])
def test_a_domain_that_does_not_exist_is_refused_by_name(domain: int) -> None:
    with pytest.raises(DomainInUseError, match=f'{domain} is outside 0 to 101'):
        choose_domain(domain)


def test_marked_processes_are_found_and_ended_even_when_orphaned(tmp_path: Path) -> None:
    child = 'import subprocess, sys; subprocess.Popen(["sleep", "60"], start_new_session=True); sys.exit(3)'
    process = Process(
        'orphans', [sys.executable, '-c', child], tmp_path / 'log', {**os.environ, MARK: 'run7:x'}
    )
    assert process.wait(20) == 3
    assert len(marked_processes('run7')) == 1
    assert len(end_marked('run7:x')) == 1
    assert marked_processes('run7') == []


def test_stop_ends_a_process_that_ignores_sigint(tmp_path: Path) -> None:
    code = 'import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(4)); signal.signal(signal.SIGINT, signal.SIG_IGN); print("up", flush=True); time.sleep(60)'  # noqa: E501
    process = Process('deaf', [sys.executable, '-c', code], tmp_path / 'log', dict(os.environ))
    while b'up' not in (tmp_path / 'log').read_bytes():
        assert process.poll() is None
    process.send(signal.SIGINT)
    assert process.wait(0.2) is None
    process.send(signal.SIGTERM)
    assert process.wait(20) == 4


@pytest.mark.parametrize('code', ['raise SystemExit(1)', 'signal.raise_signal(signal.SIGKILL)'])
def test_what_is_stopped_on_purpose_is_no_failure_and_not_started_again(
    tmp_path: Path, code: str
) -> None:
    """Whatever its exit code: `ros2 launch` has 1 when a node had to be terminated."""
    story = Story(DemoOptions(), open_home(tmp_path / 'demo'), 97, Console())
    program = f"""
import signal, time
print('up', flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    {code}
"""
    fleet = story._keep('fleet', [sys.executable, '-c', program])
    log = tmp_path / 'demo' / 'logs' / 'fleet.log'
    while b'up' not in log.read_bytes():
        assert fleet().poll() is None
    story._stop(fleet)
    assert log.read_bytes().count(b'up') == 1
    story.close()
    assert marked_processes(story._run) == [] and story._notes == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_demo_in_the_background_of_a_script_can_be_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    home, demo = tmp_path / 'home', [sys.executable, '-m', 'lwd_bringup.demo.cli']
    background = ['env', '--ignore-signal=INT', *demo]
    with (tmp_path / 'log').open('wb') as log:
        process = subprocess.Popen([*background, '--home', str(home)], stdout=log, stderr=log)
    try:
        while not (home / 'logs' / 'keys.log').exists():
            assert process.poll() is None, (tmp_path / 'log').read_text()
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 130, (tmp_path / 'log').read_text()
    finally:
        process.kill()
    assert 'Stopped by Ctrl-C' in (tmp_path / 'log').read_text()


def test_what_failed_is_shown_as_its_log_has_it(tmp_path: Path) -> None:
    """Brackets in it are no markup, and the report is written."""
    said = 'cannot read [/keys/learner.pub]; [ERROR] [sim_node-1]: process has died [pid 31, exit code 1]'
    ros2 = tmp_path / 'bin' / 'ros2'
    ros2.parent.mkdir()
    ros2.write_text(f'#!/bin/sh\necho "{said}"\nexit 1\n')
    ros2.chmod(0o755)
    home = tmp_path / '[red]' / 'demo'
    done = subprocess.run(
        [sys.executable, '-m', 'lwd_bringup.demo.cli', '--home', str(home)],
        env={**os.environ, 'PATH': f'{ros2.parent}:{os.environ["PATH"]}', 'COLUMNS': '400'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.count(said) == 2, done.stdout  # at once, and in the report's notes
    assert f'report: {home}/report.html' in done.stdout
    assert said in json.loads((home / 'report.json').read_text())['notes'][0]


def test_the_view_shows_an_instruction_as_it_is(tmp_path: Path) -> None:
    fleet = Fleet()
    fleet.robot('g1_01').instruction = 'put [red] on [/shelf]'
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render('a phase', fleet, Records(tmp_path), {}, 3.0))
    assert 'put [red] on [/shelf]' in captured.get()


@pytest.mark.parametrize(
    ('option', 'value', 'said'),
    [
        ('robots', 0, 'robots is 0: 1 to 4'),
        ('robots', 5, 'robots is 5: 1 to 4.*Discovery'),
        ('online_minutes', 0.0, 'online_minutes is 0.0'),
        ('demonstrations', 0, 'demonstrations is 0'),
        ('eval_episodes', -1, 'eval_episodes is -1'),
        ('real_time_factor', float('nan'), 'real_time_factor is nan'),
        ('seed', -1, 'seed is -1'),
        ('train_args', "--sft.seconds '20", 'train_args'),
    ],
)
def test_options_that_cannot_be_run_are_named(option: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DemoOptions(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--robots', '5'], 'robots is 5: 1 to 4'),
        (['--train-args=--sft.second 20'], 'Unrecognized options: --sft.second'),
    ],
)
def test_bad_options_end_a_demo_before_it_begins(
    tmp_path: Path, words: list[str], said: str
) -> None:
    """Not when the robots are to start, after demonstrations, SFT and offline RL."""
    command = [sys.executable, '-m', 'lwd_bringup.demo.cli', '--home', str(tmp_path / 'demo')]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / 'demo').exists()


def test_help_explains_every_option() -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'lwd_bringup.demo.cli', '--help'],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in (
        '--online-minutes',
        '--robots',
        '--task',
        '--home',
        '--domain-id',
        '--eval-episodes',
    ):
        assert option in done.stdout
