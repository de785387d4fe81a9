"""The thread that runs the policy: new weights run once before they plan, and only then are in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import simplejpeg
from lwd_policy_node.inference import (
    EpisodeFacts,
    LoadedWeights,
    Planner,
    PolicySlot,
    Told,
    Worker,
)
from lwd_policy_node.installation import InstallationError
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import Manifest

PROFILE = load_profile('g1_laptop')
TICK_NS = round(1e9 / 30)
JPEG = simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))
PATIENCE_S = 20.0


class Counting:
    """A policy that writes down who asked it for what."""

    config_hash = ''

    def __init__(
        self, log: list[Any], name: str, *, fails: bool = False, unknown: Exception | None = None
    ) -> None:
        self.log, self.name, self.fails, self.unknown = log, name, fails, unknown

    def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
        self.log.append((self.name, threading.current_thread().name, obs.instruction))
        if self.fails:
            raise RuntimeError('no memory')
        if self.unknown is not None and obs.instruction == 'new':
            raise self.unknown
        return np.zeros((PROFILE.horizon, len(PROFILE.joints)))


def weights(version: int, policy: Counting) -> LoadedWeights:
    manifest = Manifest(0, version, 0, 'sft', 0, '', '', 0, '')
    return LoadedWeights(policy, manifest, instruction='known')


class Running:
    """A worker in its thread, and what it told."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.changed = threading.Condition()
        self.slot = PolicySlot()
        self.worker = Worker(
            PROFILE,
            Planner(PROFILE),
            self.slot,
            kinds=['rollout'],
            late_after_s=1.0,
            failures_allowed=2,
        )
        told = Told(
            planned=lambda plan, seconds: self.note(('plan', plan.version)),
            active=lambda w: self.note(('active', w.manifest.version)),
            failed=lambda w, why: self.note(('failed', w.manifest.version, why)),
            rejected=lambda why: self.note(('rejected', why)),
        )
        self.thread = threading.Thread(target=self.worker.run, args=(told,), name='inference')
        self.thread.start()

    def note(self, event: Any) -> None:
        with self.changed:
            self.log.append(event)
            self.changed.notify_all()

    def await_(self, kind: str, version: int | str) -> None:
        with self.changed:
            found = self.changed.wait_for(
                lambda: any(e[:2] == (kind, version) for e in self.log), PATIENCE_S
            )
        assert found, self.log

    def see(self, tick: int) -> None:
        for camera in PROFILE.cameras:
            self.worker.put_image(camera.name, tick * TICK_NS, JPEG)
        names = PROFILE.state_names
        self.worker.put_joint_state(tick * TICK_NS, names, [0.0] * len(names), ())


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.worker.stop()
    made.thread.join(PATIENCE_S)
    assert not made.thread.is_alive()


def test_weights_run_once_in_the_inference_thread_before_they_are_in_use(running: Running) -> None:
    """Before anything was seen too, and again after a swap at the episode's end."""
    assert running.worker.warm, 'there is nothing to warm up'
    running.slot.offer(weights(1, Counting(running.log, 'one')))
    assert not running.worker.warm
    running.worker.wake()
    running.await_('active', 1)
    assert running.worker.warm
    running.worker.plan(True)
    running.worker.change_episode(EpisodeFacts('e1', True, 'rollout', 'tidy up', 0))
    running.see(3)
    running.await_('plan', 1)
    running.slot.offer(weights(2, Counting(running.log, 'two')))
    running.worker.change_episode(EpisodeFacts('e1', False, 'rollout', 'tidy up', 0))
    running.await_('active', 2)
    running.worker.change_episode(EpisodeFacts('e2', True, 'rollout', 'tidy up', 0))
    running.see(30)
    running.await_('plan', 2)
    assert running.log == [
        ('one', 'inference', 'known'),
        ('active', 1),
        ('one', 'inference', 'tidy up'),
        ('plan', 1),
        ('two', 'inference', 'tidy up'),
        ('active', 2),
        ('two', 'inference', 'tidy up'),
        ('plan', 2),
    ]


def test_weights_that_fail_their_first_inference_are_reported_and_never_in_use(
    running: Running,
) -> None:
    running.slot.offer(weights(1, Counting(running.log, 'one', fails=True)))
    running.worker.wake()
    running.await_('failed', 1)
    assert 'no memory' in running.log[-1][2]
    assert not [event for event in running.log if event[0] == 'active']


def test_a_worker_that_is_not_to_plan_warms_up_and_does_not_plan(running: Running) -> None:
    """Inactive: weights are made ready, observations are kept, no plan is made."""
    running.worker.change_episode(EpisodeFacts('e1', True, 'rollout', 'tidy up', 0))
    running.see(3)
    running.slot.offer(weights(1, Counting(running.log, 'one')))
    running.worker.wake()
    running.await_('active', 1)
    running.see(30)
    running.worker.plan(True)
    running.await_('plan', 1)
    assert [event[0] for event in running.log] == ['one', 'active', 'one', 'plan']


def _plans_again(running: Running, unknown: Exception) -> list[Any]:
    """Five plans of an instruction that the policy cannot take, then one that it can; what was told."""
    running.slot.offer(weights(1, Counting(running.log, 'one', unknown=unknown)))
    running.worker.wake()
    running.await_('active', 1)
    running.worker.plan(True)
    running.worker.change_episode(EpisodeFacts('e1', True, 'rollout', 'new', 0))
    for number in range(1, 6):
        running.see(30 * number)
        end = time.monotonic() + PATIENCE_S
        while running.log.count(('one', 'inference', 'new')) < number:
            assert time.monotonic() < end, running.log
            time.sleep(0.01)
    running.worker.change_episode(EpisodeFacts('e2', True, 'rollout', 'known', 0))
    running.see(300)
    running.await_('plan', 1)
    return running.log


class Stumbling(Counting):
    """Warms up, then fails once."""

    def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
        action = super().act(obs, seed, frozen)
        if sum(event[:2] == (self.name, 'inference') for event in self.log) == 2:
            raise RuntimeError('once')
        return action


def test_new_weights_do_not_inherit_the_failures_of_the_old(running: Running) -> None:
    """Two in a row are too many: one of version 1 and one of version 2 are not two of version 2."""
    running.worker.plan(True)
    for version in (1, 2):
        running.slot.offer(weights(version, Stumbling(running.log, f'number {version}')))
        running.worker.change_episode(EpisodeFacts('', False, 'rollout', '', 0))
        running.await_('active', version)
        assert running.worker.trouble == ''
        running.worker.change_episode(EpisodeFacts(f'e{version}', True, 'rollout', 'known', 0))
        running.see(30 * version)
        running.await_('rejected', f'version {version}: inference failed: RuntimeError: once')
    running.see(90)
    running.await_('plan', 2)
    assert not [event for event in running.log if event[0] == 'failed']


def test_what_the_computer_lacks_is_not_the_weights_fault(running: Running) -> None:
    """No roll-back, however often it fails; said once; nothing is tried with that instruction meanwhile."""
    log = _plans_again(running, InstallationError('the sentence encoder cannot be loaded'))
    assert not [event for event in log if event[0] == 'failed']
    rejected = [event for event in log if event[0] == 'rejected']
    assert rejected == [('rejected', 'version 1: the sentence encoder cannot be loaded')]
    assert not running.worker.trouble


def test_weights_that_do_not_know_what_is_asked_for_are_tried_with_what_they_know(
    running: Running,
) -> None:
    """Without a sentence encoder: they come into use, and no version is gone back from."""
    encoder = InstallationError('the sentence encoder cannot be loaded')
    running.slot.offer(weights(1, Counting(running.log, 'one')))
    running.worker.wake()
    running.await_('active', 1)
    running.worker.plan(True)
    running.worker.change_episode(EpisodeFacts('e1', True, 'rollout', 'new', 0))
    running.see(3)
    running.await_('plan', 1)
    running.slot.offer(weights(2, Counting(running.log, 'two', unknown=encoder)))
    running.worker.change_episode(EpisodeFacts('e1', False, 'rollout', 'new', 0))
    running.await_('active', 2)
    assert not [event for event in running.log if event[0] == 'failed']


def test_a_policy_whose_files_cannot_be_read_does_not_end_the_thread(running: Running) -> None:
    """OSError and ImportError are failures like others: named, and after two of them weights count as failed."""
    log = _plans_again(running, OSError('libgomp.so.1: cannot open shared object file'))
    assert ('failed', 1) in [event[:2] for event in log]
    assert 'libgomp.so.1' in next(event[1] for event in log if event[0] == 'rejected')
