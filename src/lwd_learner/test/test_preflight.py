"""``train --check``: what it looks at, what it refuses by name, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.publish.publisher_lock import PublisherLock
from lwd_learner.replay import Replay
from lwd_learner.training.config import RlConfig, SftConfig, TrainConfig
from lwd_learner.training.preflight import Finding, Preflight, show
from lwd_learner.training.run import TrainingRun
from lwd_learner.training.stage_evaluation import StageEvaluation
from lwd_learner.training.train_command import run
from lwd_policy_node.weights import ensure_key_pair
from replay_of_noise import PROFILE, episode, make_replay
from rich.console import Console

CHECKS = [
    *('run folder', 'signing key', 'evaluation', 'data', 'labels', 'shapes'),
    *('ends of episodes', 'one step', 'memory', 'one sample'),
]


def config_of(folder: Path, **changes: object) -> TrainConfig:
    (folder / 'store').mkdir(exist_ok=True)
    config = TrainConfig(
        run_dir=folder / 'train',
        store=str(folder / 'store'),
        rl=RlConfig(batch_size=16, critic_hidden=16, clone_batch_size=8, actor_batch_size=4),
        publish=False,
        check=True,
    )
    return dataclasses.replace(config, **changes)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*') if path.is_file()}


def last(findings: list[Finding]) -> Finding:
    assert all(finding.ok for finding in findings[:-1])
    return findings[-1]


def test_a_sound_run_passes_every_check_and_nothing_is_changed(tmp_path, capsys):
    make_replay(tmp_path / 'train' / 'replay')
    config = config_of(tmp_path, json=True)
    before = files(tmp_path)
    assert run(config) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['ok']
    assert [check['check'] for check in found['checks']] == CHECKS
    assert files(tmp_path) == before
    details = {check['check']: check['detail'] for check in found['checks']}
    assert '6 offline episodes' in details['data']
    assert '16 x 16 targets' in details['one sample']
    assert 'an update takes' in details['one step']
    assert 'GiB' in details['memory']


def test_the_tower_s_step_is_taken_too_when_it_is_to_be_trained(tmp_path):
    make_replay(tmp_path / 'train' / 'replay', online=False)
    sft = SftConfig(vision='train', batch_size=4)
    findings = Preflight(config_of(tmp_path, sft=sft, algorithm='filtered_bc')).run()
    assert all(finding.ok for finding in findings), findings
    steps = next(finding for finding in findings if finding.check == 'one step')
    assert steps.detail.count('clone') == 2
    assert '6 position labels in 100% of rows' in findings[4].detail


def test_episodes_of_a_store_are_looked_at_but_not_taken(tmp_path, store, send, hand_made, capsys):
    for i, outcome in enumerate(('success', 'failure')):
        send(
            hand_made(
                episode_id=f'g1_01-20250101T00000{i}-0000000{i}',
                kind='demonstration',
                outcome=outcome,
                sources=(2,) * 24,
            )
        )
    before = files(tmp_path / 'store')
    assert run(config_of(tmp_path)) == 0
    assert '2 episodes in' in capsys.readouterr().out.replace('\n', ' ')
    assert files(tmp_path / 'store') == before
    assert not (tmp_path / 'train').exists()


def test_an_episode_beyond_the_limit_is_named_with_the_option(tmp_path, store, send, hand_made):
    send(hand_made(kind='demonstration', sources=(2,) * 24))
    config = config_of(tmp_path, max_episode_bytes=1000)
    finding = last(Preflight(config).run())
    assert (finding.check, finding.ok) == ('data', False)
    assert '--max-episode-bytes' in finding.detail
    training = TrainingRun(config, None)
    training.poll()
    training.close()
    assert training.status.fields['quarantined'] == 1


def test_an_empty_store_is_named_with_its_remedy(tmp_path):
    finding = last(Preflight(config_of(tmp_path)).run())
    assert (finding.check, finding.ok) == ('data', False)
    assert 'make_data' in finding.detail


def test_data_without_a_successful_demonstration_is_refused(tmp_path):
    replay = Replay.create(tmp_path / 'train' / 'replay', PROFILE)
    replay.append('offline', [episode(1, 'failure', 'demonstration')])
    finding = last(Preflight(config_of(tmp_path)).run())
    assert finding.check == 'labels'
    assert '1 failure; no successful demonstration' in finding.detail


def test_a_profile_that_the_data_was_not_recorded_with_is_refused(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    finding = last(Preflight(config_of(tmp_path, profile='g1')).run())
    assert (finding.check, finding.ok) == ('shapes', False)
    assert 'camera' in finding.detail


def test_a_profile_that_cannot_be_simulated_is_refused_before_anything_is_trained(
    tmp_path, unsimulated
):
    make_replay(tmp_path / 'train' / 'replay')
    config = config_of(tmp_path, profile=str(unsimulated))
    finding = next(f for f in Preflight(config).run() if f.check == 'evaluation')
    assert not finding.ok
    assert 'control_rate_hz 50' in finding.detail and '--eval-episodes 0' in finding.detail
    with pytest.raises(ValueError, match='control_rate_hz 50'):
        StageEvaluation(config)
    StageEvaluation(dataclasses.replace(config, eval_episodes=0))


def test_evaluation_without_opengl_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    make_replay(tmp_path / 'train' / 'replay')
    config = config_of(tmp_path)
    findings = Preflight(config).run()
    assert [f.check for f in findings if not f.ok] == ['evaluation']
    assert 'libegl1' in findings[2].detail and '--eval-episodes 0' in findings[2].detail
    StageEvaluation(dataclasses.replace(config, eval_episodes=0))


def test_a_support_without_the_return_of_a_success_is_refused(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    config = config_of(tmp_path)
    config = dataclasses.replace(config, divl=dataclasses.replace(config.divl, v_max=0.9))
    finding = last(Preflight(config).run())
    assert finding.check == 'ends of episodes'
    assert '--divl.v-max' in finding.detail


@pytest.mark.parametrize('folder', ['keys', 'train'])
def test_a_missing_key_is_told_and_the_rest_is_looked_at(tmp_path, folder, capsys):
    make_replay(tmp_path / 'train' / 'replay')
    config = config_of(tmp_path, publish=True, private_key=tmp_path / folder / 'none')
    assert run(config) == 1
    findings = Preflight(config).run()
    assert [finding.check for finding in findings] == CHECKS
    assert [finding.check for finding in findings if not finding.ok] == ['signing key']
    assert 'wrong' in capsys.readouterr().out


def test_a_learner_that_publishes_from_the_folder_is_named_and_left_alone(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    key = ensure_key_pair(tmp_path / 'keys').private_path
    config = config_of(tmp_path, publish=True, private_key=key)
    learner = PublisherLock(config.run_dir / 'published')
    before = files(tmp_path)
    finding = Preflight(config).run()[0]
    assert (finding.check, finding.ok) == ('run folder', False)
    assert f'process {os.getpid()} publishes from' in finding.detail
    assert '--run-dir' in finding.detail
    learner.close()
    assert Preflight(config).run()[0].ok
    assert files(tmp_path) == before


def test_a_run_that_publishes_is_refused_without_ros(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lwd_learner.publish.archive', None)
    finding = Preflight(config_of(tmp_path, publish=True)).run()[0]
    assert (finding.check, finding.ok) == ('run folder', False)
    assert '--no-publish' in finding.detail
    assert Preflight(config_of(tmp_path)).run()[0].ok


def test_training_that_publishes_is_refused_without_ros(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'lwd_learner.publish', None)
    assert run(config_of(tmp_path, publish=True, check=False)) == 1
    assert 'train: to publish needs ROS 2' in capsys.readouterr().err


def test_findings_are_shown_as_they_are() -> None:
    """Brackets, as in a path, are no markup."""
    console = Console(width=120)
    with console.capture() as captured:
        show([Finding('store', False, 'cannot read [/store] of [red]')], console)
    assert 'cannot read [/store] of [red]' in captured.get()
