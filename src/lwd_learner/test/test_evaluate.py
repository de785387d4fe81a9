"""Evaluation: Wilson's interval, chunks indexed by time, fixed seeds, the same result from the
same checkpoint.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Container
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
import torch
from lwd_learner.evaluation import EvaluationError, Evaluator, Result, evaluate, wilson
from lwd_learner.evaluation.acting import load_actor
from lwd_learner.evaluation.command import main
from lwd_learner.evaluation.rollout import EpisodeResult, run_episode
from lwd_learner.evaluation.through_ros import SimulatedRobot, _keep
from lwd_learner.training.checkpoint import Progress, save_checkpoint
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.learner import Learner
from lwd_policy_node.nodes import qos
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import WeightsStore
from lwd_sim.world import World
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_msgs.msg import Episode, SimState
from lwd_msgs.srv import StartEpisode

PROFILE = load_profile('g1_laptop')


def test_wilson_interval_matches_published_values():
    assert wilson(81, 100) == pytest.approx((0.7222, 0.8749), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    with pytest.raises(ValueError, match='5 successes in 4'):
        wilson(5, 4)


class CountingWorld:
    """A world whose only content is the actions it was given."""

    time_limit_s = 1.0
    progress = 0.25

    def __init__(self, success_at: Container[int] = ()) -> None:
        self.actions: list[float] = []
        self._success_at = success_at

    @property
    def success(self) -> bool:
        return len(self.actions) in self._success_at

    def reset(self, task, seed, shift='trained'):
        self.actions = []
        return self.observe()

    def observe(self, images=True):
        return SimpleNamespace(images={}, state=np.zeros(40), instruction=str(len(self.actions)))

    def step(self, action, images=True):
        self.actions.append(float(action[0]))
        return self.observe()


@pytest.mark.parametrize('latency', [0, 2])
def test_chunks_are_indexed_by_time_and_used_after_the_latency(latency):
    def act(obs, seed):
        made = int(obs.instruction)
        return np.repeat(1000.0 * made + np.arange(16)[:, None], 16, axis=1)

    world = CountingWorld()
    result = run_episode(world, act, PROFILE, 'restock', 3, latency_steps=latency)
    assert len(world.actions) == 30
    assert result == EpisodeResult('restock', 3, False, 0.25, pytest.approx(1.0))
    for tick, action in enumerate(world.actions):
        made = max(0, (tick - latency) // 9 * 9)
        assert action == 1000 * made + tick - made


@pytest.mark.parametrize(
    ('success_at', 'success', 'ticks'),
    [
        (range(12, 99), True, 17),
        (range(12, 17), False, 30),
        ((*range(3, 8), *range(9, 15)), True, 14),
    ],
    ids=['stays', 'falls again', 'falls once'],
)
def test_a_success_counts_once_it_has_held(success_at, success, ticks):
    """For .2 s, six ticks, as in training data and on a robot."""
    world = CountingWorld(success_at)
    result = run_episode(world, lambda obs, seed: np.zeros((16, 16)), PROFILE, 'restock', 0)
    assert (result.success, result.duration_s) == (success, pytest.approx(ticks / 30))


def test_a_simulation_that_blows_up_is_a_failure(caplog):
    world = World(PROFILE, render=False)
    plans = []

    def act(obs, seed):
        plans.append(seed)
        if len(plans) == 3:
            world.scene.data.qvel[:] = 1e11  # more than MuJoCo takes for a speed
        return np.repeat(PROFILE.home[np.newaxis], 16, axis=0)

    result = run_episode(world, act, PROFILE, 'restock', 3)
    assert (result.success, result.duration_s) == (False, pytest.approx(18 / 30))
    assert 'restock, seed 3' in caplog.text
    assert run_episode(world, act, PROFILE, 'restock', 3).duration_s == pytest.approx(8.0)


def test_result_counts_and_summarises():
    episodes = [EpisodeResult('restock', s, s % 2 == 0, 0.5, 2.0) for s in range(10)]
    summary = Result.of(episodes).summary()
    assert (summary['n'], summary['k'], summary['seeds']) == (10, 5, [0, 9])
    assert summary['cycle_s'] == 2.0


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    policy = Policy(preset('tiny', PROFILE, label_dim=6))
    policy.norm.fit(
        np.random.default_rng(0).normal(size=(9, 40)), np.zeros((9, 16, 16)), np.ones((9, 16))
    )
    path = tmp_path_factory.mktemp('policy') / 'policy.safetensors'
    policy.save(path)
    return path


def test_the_command_names_a_file_that_is_no_policy(tmp_path):
    bad = tmp_path / 'bad.safetensors'
    bad.write_bytes(b'x')
    command = [sys.executable, '-m', 'lwd_learner.evaluation.command', str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'bad.safetensors' in done.stderr.replace('\n', '')
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--tasks'], '--tasks is empty: give one or more of cocktail, '),
        (['--tasks', ''], "--tasks '': there is no such task; give one or more of cocktail, "),
        (['--tasks', 'restock', 'x'], "--tasks 'x': there is no such task"),
        (['--episodes', '0'], '--episodes 0: give 1 or more'),
        (
            ['--through-ros', '--domain-id', '233'],
            '--domain-id 233: there are ROS domains 0 to 232',
        ),
        (['--through-ros', '--domain-id', '-1'], '--domain-id -1: there are ROS domains 0 to 232'),
    ],
)
def test_the_command_refuses_an_option_in_a_line(checkpoint, monkeypatch, capsys, options, said):
    monkeypatch.setattr('sys.argv', ['evaluate', str(checkpoint), *options])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert capsys.readouterr().err.startswith(f'evaluate: {said}')


def test_the_command_prints_what_evaluation_finds_in_any_number_of_processes(checkpoint):
    """The same checkpoint and seeds give the same episodes."""
    command = [sys.executable, '-m', 'lwd_learner.evaluation.command', str(checkpoint)]
    done = subprocess.run(
        [*command, '--episodes', '2', '--workers', '2', '--json'],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found['seeds'] == [500_000_000, 500_000_001]
    result = evaluate(checkpoint, episodes=2, workers=1)
    assert found['episodes'] == [asdict(episode) for episode in result.episodes]


def test_a_profile_that_cannot_be_simulated_is_refused_before_workers_start(
    checkpoint, unsimulated
):
    with pytest.raises(ValueError, match='control_rate_hz 50 cannot be simulated'):
        evaluate(checkpoint, profile=str(unsimulated), episodes=1, workers=1)


def test_what_a_worker_cannot_begin_with_is_told_by_its_own_text(checkpoint, unsimulated):
    unsimulated.write_text(unsimulated.read_text().replace('50.0', '30.0'))
    with Evaluator(str(unsimulated), workers=1) as evaluator:
        unsimulated.write_text('no profile')
        with pytest.raises(EvaluationError, match=r'ProfileError: .*unsimulated.yaml'):
            evaluator.gather(evaluator.submit(checkpoint, episodes=1))


@pytest.mark.parametrize(
    ('algorithm', 'step', 'refused'),
    [('lwd', 0, True), ('filtered_bc', 9, True), ('lwd', 9, False), ('refresh_only', 9, False)],
)
def test_the_best_of_n_by_a_critic_that_was_never_trained_is_refused(
    checkpoint, tmp_path, algorithm, step, refused
):
    policy = Policy.load(checkpoint)
    learner = Learner(policy, TrainConfig(algorithm=algorithm))
    learner.step = step
    saved = save_checkpoint(tmp_path, Progress(), policy, learner, 'here') / 'learner.safetensors'
    if refused:
        with pytest.raises(ValueError, match='never trained'):
            load_actor(checkpoint, saved, 4)
    else:
        load_actor(checkpoint, saved, 4)
    load_actor(checkpoint, saved, 1)


def test_a_worker_that_has_the_policy_loads_it_anew_for_another_best_of(
    checkpoint, tmp_path, monkeypatch
):
    module = sys.modules['lwd_learner.evaluation.evaluate']
    monkeypatch.setattr('lwd_sim.world.World', lambda profile, render: None)
    monkeypatch.setattr(module, 'run_episode', lambda world, act, *rest: act)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    threads = torch.get_num_threads()
    worker = module._Worker('g1_laptop')
    torch.set_num_threads(threads)
    policy = Policy.load(checkpoint)
    learner = Learner(policy, TrainConfig())
    learner.step = 9
    critic = save_checkpoint(tmp_path, Progress(), policy, learner, 'here') / 'learner.safetensors'
    one, four, again = (
        worker.run(module._Job(str(checkpoint), str(critic), best_of, 'restock', 1, 'trained', 1))
        for best_of in (1, 4, 4)
    )
    assert one is not four and four is again


def test_a_robot_through_ros_gets_the_file_as_its_last_good_weights(checkpoint, tmp_path):
    """Signed by a key of the evaluation's own and active: nothing is published, no fleet hears of it."""
    _keep(checkpoint, tmp_path, 'evaluation_1')
    store = WeightsStore(tmp_path / 'robots' / 'evaluation_1' / 'weights')
    assert store.active() == 1
    assert store.policy_path(1).read_bytes() == checkpoint.read_bytes()
    assert checkpoint.exists()


def test_the_command_refuses_best_of_through_ros(checkpoint, tmp_path):
    command = [sys.executable, '-m', 'lwd_learner.evaluation.command', str(checkpoint)]
    done = subprocess.run(
        [*command, '--through-ros', '--best-of', '4', '--critic', str(tmp_path / 'none')],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'train with --best-of' in ' '.join(done.stderr.split())


class OneNodeRobot(SimulatedRobot):
    """A robot of one node over real DDS: it answers `episode/start`, and speaks of the old scene until the new one."""

    def __enter__(self):
        self._command = ['sleep', '600']  # the launch's place: all that is asked of it is to live
        super().__enter__()
        self._context_of_it = Context()
        rclpy.init(
            context=self._context_of_it,
            domain_id=self._domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        name = f'/{self.robot_id}'
        node = rclpy.create_node('robot', namespace=name, context=self._context_of_it)
        self._states = node.create_publisher(SimState, 'sim/state', qos.SIM_STATE)
        self._episodes = node.create_publisher(Episode, 'episode', qos.EPISODE)
        node.create_service(StartEpisode, 'episode/start', self._play)
        self._of_it = SingleThreadedExecutor(context=self._context_of_it)
        self._of_it.add_node(node)
        self._thread = threading.Thread(target=self._of_it.spin)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._of_it.shutdown()
        self._thread.join()
        rclpy.shutdown(context=self._context_of_it)
        super().__exit__(*error)

    def _play(self, request, reply):
        scene = {'task': request.task, 'seed': request.seed}
        old = SimState(task=request.task, seed=request.seed - 1, progress=0.75)
        record = Episode(episode_id=f'e-{request.seed}', outcome=Episode.OUTCOME_FAILURE, **scene)
        self._states.publish(old)
        self._episodes.publish(_in_state(record, Episode.RUNNING))
        self._states.publish(old)  # the robot's two writers have no common order
        for progress in (0.0, 0.25):
            self._states.publish(SimState(progress=progress, **scene))
            time.sleep(
                0.3
            )  # DDS has no order between topics: let the states arrive before the end
        self._episodes.publish(_in_state(record, Episode.ENDED))
        reply.ok, reply.episode_id = True, record.episode_id
        return reply


def _in_state(record: Episode, state: int) -> Episode:
    record.state = state
    return record


@pytest.mark.launch
def test_progress_is_that_of_the_scene_asked_for(checkpoint):
    """Between two episodes the simulator goes on to tell of the scene before."""
    with OneNodeRobot(
        checkpoint, profile='g1_laptop', shift='trained', real_time_factor=1.0, domain_id=207
    ) as robot:
        robot._wait('discovery', robot._start.service_is_ready, 30.0)
        found = [robot.run('restock', seed) for seed in (500, 501)]
    assert [(r.seed, r.progress) for r in found] == [(500, 0.25), (501, 0.25)]


@pytest.mark.launch
@pytest.mark.long
def test_through_ros_the_result_is_that_of_the_process(checkpoint):
    """Real nodes over DDS on the same scenes: the JSON has the same shape, and the intervals meet."""
    command = [sys.executable, '-m', 'lwd_learner.evaluation.command', str(checkpoint), '--json']
    here, there = (
        json.loads(
            subprocess.run(
                [*command, '--episodes', '4', *more], capture_output=True, text=True, check=True
            ).stdout
        )
        for more in ((), ('--through-ros', '--domain-id', '196'))
    )
    assert set(here) == set(there)
    assert [e['seed'] for e in here['episodes']] == [e['seed'] for e in there['episodes']]
    assert [set(e) for e in here['episodes']] == [set(e) for e in there['episodes']]
    assert here['low'] <= there['high'] and there['low'] <= here['high']
