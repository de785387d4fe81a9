"""Lint finds each fault that is put into a good replay, and nothing in the good one; stats and show tell the truth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import lance
import numpy as np
import pytest
import simplejpeg
import torch
from lwd_learner.interop.lerobot.export import export_lerobot
from lwd_learner.interop.lerobot.reader import LeRobotReader
from lwd_learner.look import LintConfig, lint
from lwd_learner.look.command import latest
from lwd_learner.replay import EpisodeFrames, Replay, ReplayConfig, ReplayError
from lwd_learner.replay import command as replay_command
from lwd_learner.replay.frames import to_record_batch
from lwd_learner.replay.stats import replay_stats
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
LIMITS = {joint.name: joint for joint in PROFILE.joints}
TICKS = 90
COLUMNS = list(PROFILE.action_columns_in_state())


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return simplejpeg.encode_jpeg(noise)


def good(number: int, **changes: object) -> EpisodeFrames:
    """3 s of two arms that swing within their limits, three cameras at 10 Hz."""
    t = np.arange(TICKS) / 30
    phase = number + np.arange(40)
    swing = (0.3 * np.sin(2 * t[:, None] + phase)).astype(np.float32)
    swing[:, 16:18] = np.abs(swing[:, 16:18])
    state = np.concatenate([swing[:, :20], swing[:, 20:]], axis=1)
    state[:, COLUMNS] += PROFILE.home.astype(np.float32)
    fields = {
        'episode_id': f'e-{number}',
        'robot_id': 'g1_01',
        'task': 'restock',
        'instruction': 'restock the red can',
        'kind': 'rollout',
        'outcome': 'success',
        'stamp_s': 100.0 + t,
        'state': state,
        'action': np.clip(
            state[:, COLUMNS], PROFILE.limits('lower'), PROFILE.limits('upper')
        ).astype(np.float32),
        'source': np.where(np.arange(TICKS) < 60, 1, 2).astype(np.uint8),
        'policy_version': np.where(np.arange(TICKS) < 60, 3, 0).astype(np.int64),
        'jpeg': {
            camera.name: [
                picture(number * 1000 + c * 300 + i) if i % 3 == 0 else None for i in range(TICKS)
            ]
            for c, camera in enumerate(PROFILE.cameras)
        },
    }
    return EpisodeFrames(**(fields | changes))


def frozen_head(number: int, first: int, last: int) -> EpisodeFrames:
    episode = good(number)
    head = [
        episode.jpeg['head'][first] if jpeg is not None and first <= t <= last else jpeg
        for t, jpeg in enumerate(episode.jpeg['head'])
    ]
    return dataclasses.replace(episode, jpeg={**episode.jpeg, 'head': head})


def replay_of(folder: Path, *episodes: EpisodeFrames) -> Replay:
    """Written behind `append`'s back, which refuses the worst of it."""
    replay = Replay.create(folder, PROFILE)
    for episode in episodes:
        name = 'online' if episode.kind == 'rollout' else 'offline'
        lance.write_dataset(
            to_record_batch(episode, replay.layout), f'{folder}/{name}.lance', mode='append'
        )
    return Replay.open(folder)


def spoiled(what: str) -> EpisodeFrames:
    bad = good(7)
    tick = np.arange(TICKS)
    if what == 'gap':
        return dataclasses.replace(bad, stamp_s=bad.stamp_s + np.where(tick >= 45, 0.5, 0.0))
    if what == 'long gap':
        return dataclasses.replace(
            bad,
            stamp_s=bad.stamp_s + np.where(tick >= 45, 5.0, 0.0),
            state=bad.state + np.where(tick >= 45, 0.5, 0.0)[:, None].astype(np.float32),
        )
    if what == 'clock forward':
        return dataclasses.replace(bad, stamp_s=bad.stamp_s + np.where(tick >= 45, 5.0, 0.0))
    if what == 'clock back':
        return dataclasses.replace(bad, stamp_s=bad.stamp_s - np.where(tick >= 45, 0.9, 0.0))
    if what == 'double tick':
        return dataclasses.replace(bad, stamp_s=bad.stamp_s - np.where(tick >= 45, 0.033, 0.0))
    if what == 'rate':
        return dataclasses.replace(bad, stamp_s=100.0 + tick / 20)
    if what == 'camera rate':
        slow = [jpeg if t % 6 == 0 else None for t, jpeg in enumerate(bad.jpeg['head'])]
        return dataclasses.replace(bad, jpeg={**bad.jpeg, 'head': slow})
    if what == 'nan':
        state = bad.state.copy()
        state[12, 3] = np.nan
        return dataclasses.replace(bad, state=state)
    if what == 'limits':
        return dataclasses.replace(bad, action=np.rad2deg(bad.action))
    if what == 'joints':
        state = bad.state.copy()
        state[30:60] = state[30]
        return dataclasses.replace(bad, state=state)
    if what == 'broken':
        head = [jpeg and jpeg[:200] for jpeg in bad.jpeg['head']]
        return dataclasses.replace(bad, jpeg={**bad.jpeg, 'head': head})
    if what == 'blank':
        grey = simplejpeg.encode_jpeg(np.full((64, 64, 3), 9, np.uint8))
        dark = [jpeg and grey for jpeg in bad.jpeg['hand_left']]
        return dataclasses.replace(bad, jpeg={**bad.jpeg, 'hand_left': dark})
    if what == 'crossed':
        return dataclasses.replace(bad, jpeg={**bad.jpeg, 'hand_left': bad.jpeg['hand_right']})
    if what == 'same episode':
        return dataclasses.replace(good(1), episode_id='again')
    if what == 'same pictures':
        return dataclasses.replace(bad, jpeg=good(1).jpeg)
    return dataclasses.replace(
        bad, **{'verdict': {'outcome': 'unknown'}, 'task': {'task': ''}}[what]
    )


@pytest.mark.parametrize(
    ('what', 'level', 'check', 'place', 'value'),
    [
        ('gap', 'warning', 'gap', 'rows 44-45', '1 gaps, longest 0.53 s'),
        ('long gap', 'error', 'gap', 'rows 44-45', '(63%)'),
        ('clock forward', 'error', 'clock_step', 'rows 44-45', 'step by 5.03 s'),
        ('clock back', 'error', 'clock_step', 'rows 44-45', '-0.8667 s'),
        ('double tick', 'error', 'duplicate_frames', 'rows 44-45', '0.0003 s'),
        ('rate', 'error', 'unequal_rate', 'control', '20.00 Hz'),
        ('camera rate', 'warning', 'unequal_rate', 'camera head', '5.00 Hz'),
        ('nan', 'error', 'not_finite', 'state idx22_arm_l_joint2, row 12', '1 values'),
        (
            'limits',
            'error',
            'outside_limits',
            'action idx21_arm_l_joint1',
            'outside [-3.14, 3.14]',
        ),
        ('joints', 'error', 'frozen_joints', 'rows 30-59', 'for 0.97 s'),
        ('broken', 'error', 'broken_image', 'camera head', '30 pictures'),
        ('blank', 'warning', 'blank_camera', 'camera hand_left', '30 of 30'),
        ('crossed', 'error', 'duplicate_frames', 'hand_left and hand_right', 'byte for byte'),
        ('same episode', 'error', 'duplicate_episode', 'whole', 'those of e-1'),
        ('same pictures', 'error', 'duplicate_frames', 'whole', '100% of its pictures'),
        ('verdict', 'warning', 'label_missing', 'outcome', 'unknown'),
        ('task', 'error', 'label_missing', 'task', 'empty'),
    ],
)
def test_each_fault_is_named_with_place_value_and_remedy(
    tmp_path: Path, what, level, check, place, value
):
    bad = spoiled(what)
    found = lint(replay_of(tmp_path, good(1), good(2), good(3), bad), LIMITS)
    (finding, *_) = [f for f in found if f.check == check]
    assert finding.level == level and finding.episode_id == bad.episode_id
    assert place in finding.place and value in finding.value and finding.remedy
    assert {f.episode_id for f in found} == {bad.episode_id}


def test_a_camera_that_freezes_while_the_robot_moves_is_found_and_one_at_rest_is_not(
    tmp_path: Path,
):
    frozen = frozen_head(4, 30, 75)
    rest = frozen_head(5, 30, 75)
    still = rest.state.copy()
    still[30:78] = still[30]
    rest = dataclasses.replace(
        rest, state=still, action=np.ascontiguousarray(still[:, COLUMNS]), episode_id='rest'
    )
    (finding,) = lint(replay_of(tmp_path, frozen, rest), None)
    assert (finding.level, finding.check, finding.episode_id) == ('error', 'frozen_camera', 'e-4')
    assert finding.place == 'camera head, rows 30-77 (1.00-2.57 s)'
    assert '16 identical pictures' in finding.value


def test_an_idle_hand_may_see_the_same_thing_while_the_other_works(tmp_path: Path):
    episode = good(4)
    left = [
        i for i, name in enumerate(PROFILE.state_columns) if '_l_' in name or '_l' in name[-2:]
    ]
    state = episode.state.copy()
    state[:, left] = state[0, left]
    same = [jpeg and episode.jpeg['hand_left'][0] for jpeg in episode.jpeg['hand_left']]
    idle = dataclasses.replace(episode, state=state, jpeg={**episode.jpeg, 'hand_left': same})
    assert lint(replay_of(tmp_path, idle), None) == []


def test_nearly_identical_pictures_are_a_warning(tmp_path: Path):
    episode = good(4)
    grey = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    nearly = [
        None if jpeg is None else simplejpeg.encode_jpeg(grey ^ np.uint8(t % 2), 100)
        for t, jpeg in enumerate(episode.jpeg['head'])
    ]
    replay = replay_of(
        tmp_path, dataclasses.replace(episode, jpeg={**episode.jpeg, 'head': nearly})
    )
    config = LintConfig()
    config = dataclasses.replace(config, pictures=dataclasses.replace(config.pictures, near=3.0))
    (finding,) = lint(replay, LIMITS, config)
    assert (finding.level, finding.check) == ('warning', 'frozen_camera')
    assert lint(replay, LIMITS, dataclasses.replace(config, images=False)) == []


def test_the_exit_code_of_lint_is_1_for_errors_alone(tmp_path: Path, capsys):
    replay_of(tmp_path / 'good', good(1), good(2))
    assert replay_command.main(['lint', str(tmp_path / 'good')]) == 0
    assert '0 errors, 0 warnings' in capsys.readouterr().out
    replay_of(tmp_path / 'gap', good(1), spoiled('gap'))
    assert replay_command.main(['lint', str(tmp_path / 'gap'), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['warnings'] == 1
    replay_of(tmp_path / 'bad', good(1), spoiled('limits'))
    assert replay_command.main(['lint', str(tmp_path / 'bad'), '--no-images']) == 1
    assert 'outside_limits' in capsys.readouterr().out
    assert replay_command.main(['lint', str(tmp_path / 'bad'), '--episode', 'e-1']) == 0
    assert replay_command.main(['lint', str(tmp_path / 'bad'), '--episode', 'e-9']) == 1
    assert "no episode 'e-9'" in capsys.readouterr().err


def test_lint_checks_what_it_is_asked_for_and_says_so_if_that_is_nothing(tmp_path: Path, capsys):
    replay = replay_of(
        tmp_path,
        good(1, ended_wall_s=10.0),
        spoiled('same episode'),
        dataclasses.replace(spoiled('limits'), ended_wall_s=20.0, kind='demonstration'),
    )
    lint_it = ['lint', str(tmp_path), '--no-images', '--json']
    assert replay_command.main([*lint_it, '--episode', 'e-1']) == 0
    assert json.loads(capsys.readouterr().out)['findings'] == []
    assert replay_command.main([*lint_it, '--episode', 'again']) == 1
    (found,) = json.loads(capsys.readouterr().out)['findings']
    assert found['check'] == 'duplicate_episode'
    assert replay_command.main([*lint_it, '--episode', 'latest']) == 1
    found = json.loads(capsys.readouterr().out)['findings']
    assert {(one['check'], one['episode_id']) for one in found} == {('outside_limits', 'e-7')}
    assert replay_command.main([*lint_it, '--task', 'nothing']) == 1
    assert "no episode of task 'nothing'" in capsys.readouterr().err
    replay.prune(['e-7'], by='test', why='test')
    assert replay_command.main([*lint_it, '--episode', 'e-7']) == 1
    assert 'e-7 was pruned' in capsys.readouterr().err


def test_the_latest_episode_is_the_one_that_ended_last(tmp_path: Path, capsys):
    """Whatever data set it is in."""
    replay_of(
        tmp_path / 'r',
        good(1, ended_wall_s=20.0, kind='demonstration'),
        good(2, ended_wall_s=10.0),
    )
    out = str(tmp_path / 'strip.jpg')
    assert replay_command.main(['show', 'latest', str(tmp_path / 'r'), '--out', out]) == 0
    find = replay_command.main(['lint', str(tmp_path / 'r'), '--episode', 'latest', '--json'])
    assert find == 0 and latest(Replay.open(tmp_path / 'r'))[1].episode_id == 'e-1'


@pytest.mark.parametrize(
    ('stage', 'under_way', 'algorithm', 'expected'),
    [
        ('offline', True, 'lwd', ('adaptive', 0.55)),
        ('online', False, 'lwd', ('adaptive', 0.55)),  # of the end of the offline stage
        ('online', True, 'lwd', ('adaptive', 0.85)),
        ('done', False, 'lwd', ('adaptive', 0.85)),
        ('done', False, 'iql', ('expectile', 0.85)),
    ],
)
def test_values_are_read_as_the_run_read_them(
    tmp_path: Path, stage, under_way, algorithm, expected
):
    """The statistic of V that Q bootstrapped from: of the stage, the method and the run's own support."""
    from lwd_learner.algorithms.divl import DivlConfig
    from lwd_learner.look.values import statistic_of
    from lwd_learner.training.checkpoint import Progress, save_checkpoint
    from lwd_learner.training.config import OfflineConfig, OnlineConfig, TrainConfig
    from lwd_learner.training.identity import identity
    from lwd_learner.training.stage_state import StageState

    replay = replay_of(tmp_path / 'replay', good(1))
    config = TrainConfig(
        run_dir=tmp_path,
        algorithm=algorithm,
        divl=DivlConfig(v_max=1.5, quantile='first_atom'),
        offline=OfflineConfig(tau_base=0.55),
        online=OnlineConfig(tau_base=0.85),
    )
    policy = Policy(
        dataclasses.replace(preset('tiny', PROFILE, label_dim=6), hidden=32, vision_width=88)
    )
    folder = save_checkpoint(
        tmp_path, Progress(stage=stage), policy, None, 'here',
        stage=StageState('rl', {}, {}) if under_way else None, identity=identity(config, replay),
    )  # fmt: skip
    found = statistic_of(folder)
    assert (found.statistic, found.tau_base) == expected
    assert (found.v_max, found.quantile, found.atoms) == (1.5, 'first_atom', 201)
    older = json.loads((folder / 'identity.json').read_text())
    del older['config']['divl.quantile']
    (folder / 'identity.json').write_text(json.dumps(older))
    with pytest.raises(ReplayError, match=r'does not say how its run read V.*divl\.quantile'):
        statistic_of(folder)
    (folder / 'identity.json').unlink()
    with pytest.raises(ReplayError, match='does not say'):
        statistic_of(folder)


def test_stats_count_hours_by_source_gaps_rates_and_duplicates(tmp_path: Path, capsys):
    replay_of(
        tmp_path, good(1), spoiled('gap'), spoiled('same episode'), good(3, kind='demonstration')
    )
    assert replay_command.main(['stats', str(tmp_path), '--json']) == 0
    stats = json.loads(capsys.readouterr().out)['datasets']
    hours = stats['online']['hours_by_task_and_source']['restock']
    assert hours == pytest.approx({'policy': 180 / 108_000, 'human': 90 / 108_000})
    assert set(stats['offline']['hours_by_task_and_source']['restock']) == {'demonstration'}
    assert stats['online']['gaps'] == 1
    assert stats['online']['longest_gap_s'] == pytest.approx(0.5 + 1 / 30)
    assert stats['online']['missing_s'] == pytest.approx(0.5)
    assert stats['online']['duplicates'] == [['e-1', 'again']]
    assert stats['online']['rates_hz']['head']['median'] == pytest.approx(10)
    assert stats['online']['success_by_version'] == {'3': {'n': 3, 'k': 3}}
    action = stats['online']['actions']['gripper_l']
    assert action['min'] <= action['q01'] <= action['mean'] <= action['q99'] <= action['max']
    assert replay_command.main(['stats', str(tmp_path)]) == 0
    assert '1 groups of equal episodes' in capsys.readouterr().out


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path, capsys):
    """Tasks and ids of imported data are anybody's; they are no markup of the terminal's."""
    bad = dataclasses.replace(spoiled('limits'), episode_id='e-[/1]', task='a [red] can')
    replay_of(tmp_path, bad)
    assert replay_command.main(['stats', str(tmp_path)]) == 0
    assert 'task a [red] can' in capsys.readouterr().out
    assert replay_command.main(['lint', str(tmp_path), '--no-images']) == 1
    assert ' online e-[/1]: ' in capsys.readouterr().out


def test_a_replay_whose_numbers_stay_on_disk_looks_the_same(tmp_path: Path):
    """And is read by the episode: a large one as a whole for each of its episodes would take for ever."""
    replay_of(tmp_path, good(1), spoiled('gap'), spoiled('same episode'))
    held = Replay.open(tmp_path)
    large = Replay.open(tmp_path, config=ReplayConfig(low_dimensional_bytes=0))
    assert not large.index('online').low.in_memory

    def whole(name: str) -> None:
        raise AssertionError(f'all rows of {name} were read')

    large.index('online').low.all_rows = whole  # type: ignore[method-assign]
    assert replay_stats(large) == replay_stats(held)
    assert lint(large, LIMITS) == lint(held, LIMITS)
    export_lerobot(large, tmp_path / 'large')
    export_lerobot(held, tmp_path / 'held')
    one, other = (LeRobotReader(tmp_path / name) for name in ('large', 'held'))
    for mine, theirs in zip(one.episodes(), other.episodes(), strict=True):
        for name in ('observation.state', 'action'):
            np.testing.assert_array_equal(
                one.columns(mine, name)[name], other.columns(theirs, name)[name]
            )


def test_show_writes_a_strip_with_the_values_of_a_checkpoint(tmp_path: Path, capsys):
    from lwd_learner.training.checkpoint import Progress, save_checkpoint
    from lwd_learner.training.config import RlConfig, TrainConfig
    from lwd_learner.training.identity import identity
    from lwd_learner.training.learner import Learner

    replay_of(tmp_path / 'replay', good(1), spoiled('gap'))
    torch.manual_seed(0)
    small = dataclasses.replace(
        preset('tiny', PROFILE, label_dim=6), hidden=32, edit_hidden=16, vision_width=88
    )
    policy = Policy(small)
    config = TrainConfig(run_dir=tmp_path, rl=RlConfig(critic_hidden=16))
    made_from = identity(config, Replay.open(tmp_path / 'replay'))
    learner, progress = Learner(policy, config), Progress(stage='online')
    folder = save_checkpoint(tmp_path, progress, policy, learner, 'step_0', identity=made_from)
    out = tmp_path / 'strips' / 'e-1.jpg'
    arguments = ['show', 'e-1', str(tmp_path / 'replay'), '--out', str(out)]
    assert replay_command.main(arguments) == 0
    bare = simplejpeg.decode_jpeg_header(out.read_bytes())
    assert replay_command.main([*arguments, '--critic', str(folder), '--frames', '5']) == 0
    valued = simplejpeg.decode_jpeg_header(out.read_bytes())
    assert valued[0] > bare[0] and valued[1] < bare[1]  # a panel more, fewer pictures
    assert replay_command.main(['show', 'latest', str(tmp_path / 'replay'), '--out', 'x.gif']) == 1
    assert 'x.gif' in capsys.readouterr().err
    assert replay_command.main([*arguments, '--critic', str(tmp_path)]) == 1
    assert 'no checkpoint with a critic' in capsys.readouterr().err
