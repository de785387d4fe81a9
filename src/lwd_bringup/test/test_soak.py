"""The soak's schedule and its account; five minutes of the real thing among the long tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lwd_bringup.demo.home import open_home
from lwd_bringup.soak import cli
from lwd_bringup.soak.account import growth, percentiles, settle
from lwd_bringup.soak.faults import Fault, schedule
from lwd_bringup.soak.options import SoakOptions
from lwd_bringup.soak.run import Soak

ROBOTS = ['soak_01', 'soak_02']
DOMAIN = 165


def test_a_schedule_comes_from_its_seed_and_holds_every_fault() -> None:
    """The same night can be had again; nothing strikes before the start or at the very end."""
    planned = schedule(3, 600.0, 20.0, ROBOTS)
    assert planned == schedule(3, 600.0, 20.0, ROBOTS) != schedule(4, 600.0, 20.0, ROBOTS)
    assert {fault.fault for fault in planned[: len(Fault)]} == set(Fault)
    times = [fault.at_s for fault in planned]
    assert times == sorted(times) and times[0] >= 20.0 and times[-1] < 560.0


def _write(path: Path, lines: list[dict[str, Any]], torn: str = '') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines) + torn)


def _arrival(name: str, ended_s: float, **changes: Any) -> dict[str, Any]:
    entry = {'episode_id': name, 'robot_id': 'soak_01', 'quarantined': None, 'duplicate': False}
    return entry | {'ended_wall_s': ended_s, 'sampleable_wall_s': ended_s + 2.0} | changes


def test_the_account_names_what_was_lost_doubled_or_bad(tmp_path: Path) -> None:
    """What its robot ended must be in the replay; what a killed recorder cut short may be set aside."""
    said = [
        ('a', 'simulator', 1.0, 10.0),
        ('b', 'simulator', 41.0, 50.0),
        ('c', 'simulator', 11.0, 20.0),
        ('d', 'recorder', 21.0, 30.0),
        ('e', 'simulator', 61.0, 70.0),
        ('g', 'simulator', 31.0, 40.0),
    ]
    _write(
        tmp_path / 'announced' / 'soak_01.jsonl',
        [
            {'episode_id': name, 'robot_id': 'soak_01', 'what': what, 'by': by, 'wall_s': at_s}
            for name, by, began_s, ended_s in said
            for what, at_s in (('begin', began_s), ('end', ended_s))
        ],
        torn='{"episode_id": "f", "wh',
    )
    journal = [
        _arrival('a', 10.0),
        _arrival('a', 10.0, duplicate=True),
        _arrival('b', 50.0),
        _arrival('c', 20.0, quarantined='its hash is another'),
        _arrival('d', 30.0, quarantined='cut short'),
        _arrival('g', 40.0, quarantined='without its end'),
    ]
    _write(tmp_path / 'train' / 'ingest.jsonl', journal)
    _write(tmp_path / 'bad.jsonl', [{'version': 4, 'fault': 'a NaN checkpoint'}])
    event = {'robot_id': 'soak_01', 'published_wall_s': 5.0, 'loaded_wall_s': 6.0, 'present': True}
    events = [(3, 'loaded'), (4, 'refused'), (4, 'active')]
    _write(
        tmp_path / 'train' / 'weights.jsonl',
        [event | {'version': version, 'event': name} for version, name in events],
    )
    away = {'soak_01': [(45.0, 60.0)]}
    account = settle(tmp_path, ['a', 'b', 'b'], away, {'soak_01': [(39.0, 40.5)]})
    assert (account.announced, account.ended, account.interrupted) == (6, 4, 2)
    assert account.lost == {'c': 'its hash is another', 'e': 'did not arrive'}
    assert account.doubled == ['b'] and account.quarantined == {
        'd': 'cut short',
        'g': 'without its end',
    }
    assert account.bad_refused == {4: 1} and account.bad_activated == ['soak_01: version 4']
    assert account.loaded == [(5.0, 1.0)] and account.sampleable_after == [(10.0, 2.0)]


def test_figures_of_few_values() -> None:
    """Nothing is claimed of nothing."""
    assert percentiles([]) == {} and percentiles([1.0, 3.0])['p50'] == 2.0
    assert growth([(0.0, 1.0)]) == 0.0
    assert growth([(float(i), 100.0 + 100.0 * (i >= 12)) for i in range(16)]) == 2.0


def test_options_that_cannot_be_run_are_named() -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match='robots is 0'):
        SoakOptions(robots=0)
    with pytest.raises(ValueError, match='fault_every_s'):
        SoakOptions(fault_every_s=0.1)


def test_a_soak_keeps_out_of_a_run_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And out of the episode that it is to replay: nothing of either is touched."""
    home = open_home(tmp_path / 'soak')
    bag = home.path / 'source' / 'episode'
    bag.mkdir(parents=True)
    assert cli.main(['--home', str(home.path), '--minutes', '0.01', '--robots', '1']) == 2
    assert 'is running in' in capsys.readouterr().err
    with pytest.raises(SystemExit, match='2'):
        cli.main(['--home', str(home.path), '--bag', str(bag)])
    assert 'copy it' in ' '.join(capsys.readouterr().err.replace('│', ' ').split())
    assert bag.is_dir()


@pytest.mark.launch
def test_a_soak_moves_an_earlier_run_aside(tmp_path: Path) -> None:
    """Keys, store and spools are nobody's to delete."""
    home = tmp_path / 'soak'
    (home / 'keys').mkdir(parents=True)
    (home / 'keys' / 'learner.ed25519').write_text('a key')
    options = SoakOptions(home=home)
    with Soak(options, open_home(home), DOMAIN, print):
        assert (home / 'orders').is_dir()
    assert [key.read_text() for key in tmp_path.glob('soak-*/keys/learner.ed25519')] == ['a key']


@pytest.mark.long
@pytest.mark.launch
def test_five_minutes_of_sixteen_robots_under_faults(tmp_path: Path) -> None:
    """Nothing is lost, nothing doubled, nothing bad is used, whatever is killed."""
    command = [
        sys.executable, '-m', 'lwd_bringup.soak.cli', '--robots', '16', '--minutes', '5', '--fault-every-s', '15',
        '--home', str(tmp_path / 'soak'),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    facts = json.loads((tmp_path / 'soak' / 'soak.json').read_text())
    assert facts['episodes']['sampleable'] > 100
    for verdict in ('0 episodes lost', '0 episodes doubled', '0 bad checkpoints activated',
                    'no process died without a fault'):  # fmt: skip
        assert facts['verdicts'][verdict], facts['episodes'] | facts['weights']
    assert sum(facts['weights']['refused_by'].values()) > 0
    assert all(value is not None for values in facts['back_s'].values() for value in values)
