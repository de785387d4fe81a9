"""The weights client in one process: what it does while a pull waits, and what it does not blame the weights for."""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from lwd_policy_node.inference import PolicySlot
from lwd_policy_node.inference.observation import zero_observation
from lwd_policy_node.nodes.piece_request import POLL_S
from lwd_policy_node.nodes.threads import FAILED
from lwd_policy_node.nodes.weights_client import WeightsClient
from lwd_policy_node.nodes.weights_fetch import WeightsOptions
from lwd_policy_node.profile import load_profile, policy_facts
from lwd_policy_node.weights import Manifest, WeightsStore, ensure_key_pair, load_private_key
from lwd_policy_node.weights.checks import Load, file_sha256
from lwd_policy_node.weights.wire import PIECES_SERVICE, manifest_to_message
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_srvs.srv import Trigger

from lwd_msgs.srv import GetWeights

pytestmark = pytest.mark.launch

STANDIN = runpy.run_path(str(Path(__file__).with_name('standin_policy.py')))
CONFIG_HASH, StandinPolicy = STANDIN['CONFIG_HASH'], STANDIN['StandinPolicy']
save_standin = STANDIN['save_standin']
DOMAIN = 142
PROFILE = load_profile('g1_laptop')
PATIENCE_S = 30.0


class Rig:
    """Versions 1 and 2 on the robot's disk, 2 in use, 3 published; a learner that serves nothing."""

    def __init__(self, folder: Path, transport: str = 'service') -> None:
        self.folder = folder
        self.instruction = 'known'
        self.transport = transport
        self._private = load_private_key(ensure_key_pair(folder / 'keys').private_path)
        self.store = WeightsStore(folder / 'weights')
        for version in (1, 2):
            manifest, path = self.publish(version)
            self.store.admit(manifest, path)
        self.store.set_active(2)
        self.slot = PolicySlot()
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node('robot', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.client: WeightsClient | None = None

    def publish(self, version: int) -> tuple[Manifest, Path]:
        path = save_standin(self.folder / f'{version}.safetensors', version / 10)
        manifest = Manifest(
            time.time_ns(),
            version,
            0,
            'online',
            0,
            CONFIG_HASH,
            '',
            path.stat().st_size,
            file_sha256(path),
            uris=(path.as_uri(),),
        )
        return manifest.signed(self._private), path

    def start(self, loader: Callable[[], Load] = lambda: StandinPolicy.load) -> WeightsClient:
        self.client = WeightsClient(
            self.node,
            options=WeightsOptions(
                robot_id='robot',
                trusted_keys=self.folder / 'keys',
                transport=self.transport,
                config_hash='',
                piece_bytes=1 << 20,
                answer_timeout_s=1.0,
                retry_s=0.2,
                robot=policy_facts(PROFILE),
                chunk_shape=(PROFILE.horizon, len(PROFILE.joints)),
            ),
            store=self.store,
            slot=self.slot,
            loader=loader,
            sample=lambda _: zero_observation(PROFILE, self.instruction),
            changed=lambda: None,
        )
        assert self.client.restored.wait(PATIENCE_S)
        return self.client

    def announce(self, manifest: Manifest) -> None:
        assert self.client is not None
        self.client._on_announcement(manifest_to_message(manifest))

    def roll_back(self) -> Any:
        """What an operator calls."""
        caller = self.node.create_client(Trigger, 'weights/roll_back')
        assert caller.wait_for_service(PATIENCE_S)
        future = caller.call_async(Trigger.Request())
        self.await_('an answer', future.done)
        return future.result()

    def await_(self, what: str, found: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not found():
            note = self.client.note if self.client else ''
            assert time.monotonic() < end, f'no {what}; the client says: {note}'
            time.sleep(0.02)

    def in_use(self) -> int:
        active = self.slot.active
        return 0 if active is None else active.manifest.version

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        self._executor.shutdown()
        self.context.try_shutdown()
        self._thread.join()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(tmp_path, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


def test_nothing_waits_for_a_pull_that_nobody_answers(rig: Rig) -> None:
    """What came into use is remembered, and the robot goes back from it, while an announced version is waited for;
    which goes on afterwards.
    """
    client = rig.start()
    rig.announce(rig.publish(3)[0])
    rig.await_('pull', lambda: 'version 3 is announced, but nobody serves' in client.note)
    active = rig.slot.active
    assert active is not None and rig.in_use() == 2
    rig.store.set_active(1)
    client.activated(active)
    rig.await_('record of version 2', lambda: rig.store.active() == 2)
    answer = rig.roll_back()
    assert answer.success and answer.message == 'going back from version 2 to 1'
    rig.await_('version 1 in use', lambda: rig.in_use() == 1)
    assert rig.store.failed() == {2}
    rig.await_('pull', lambda: 'version 3 is announced, but nobody serves' in client.note)


class Monoglot(StandinPolicy):
    """Knows one instruction."""

    def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
        if obs.instruction != 'known':
            raise ValueError('what language is this?')
        return super().act(obs, seed, frozen)


def test_an_operator_may_ask_again(rig: Rig) -> None:
    """An attempt that found nothing usable says so, and does not forbid the next one."""
    client = rig.start(lambda: Monoglot.load)
    assert rig.slot.active is not None
    rig.instruction = 'new'
    client.failed(rig.slot.active, 'it failed')
    rig.await_('word', lambda: 'no older one can be used: smoke inference failed' in client.note)
    assert rig.in_use() == 2
    rig.instruction = 'known'
    assert rig.roll_back().success
    rig.await_('version 1 in use', lambda: rig.in_use() == 1)


def test_weights_that_go_on_failing_do_not_keep_the_next_ones_away(rig: Rig) -> None:
    """There is nothing to go back to, so the version that is on its way is what mends the robot."""
    rig.store.remove(1)
    client = rig.start()
    manifest, path = rig.publish(3)

    def answer(_: GetWeights.Request, reply: GetWeights.Response) -> GetWeights.Response:
        time.sleep(5 * POLL_S)  # a slow network: the client looks for something newer meanwhile
        reply.ok, reply.data = True, path.read_bytes()
        return reply

    for name in (PIECES_SERVICE, f'{PIECES_SERVICE}/robot'):
        rig.node.create_service(GetWeights, name, answer)
    failing = rig.slot.active
    assert failing is not None
    rig.announce(manifest)

    def taken() -> bool:
        client.failed(failing, 'inference failed')
        return rig.in_use() == 3

    rig.await_('version 3 in use', taken)


def test_new_weights_are_taken_although_the_old_file_is_gone(
    make_rig: Callable[..., Rig],
) -> None:
    """The old ones run from memory; that their file is lost is not the new one's fault."""
    rig = make_rig(transport='uri')
    rig.start()
    rig.store.policy_path(2).unlink()
    rig.announce(rig.publish(3)[0])
    rig.await_('version 3 in use', lambda: rig.in_use() == 3)


def test_code_that_cannot_be_loaded_is_said(rig: Rig) -> None:
    """A library that is there and broken: whoever configures the node does not wait for ever."""

    def loader() -> Load:
        raise OSError('libcudart.so.12: cannot open shared object file')

    client = rig.start(loader)
    assert 'libcudart.so.12' in client.broken


DEADLY = """
import os, rclpy, runpy, signal, sys
from pathlib import Path
test = runpy.run_path(sys.argv[1])
rig = test["Rig"](Path(sys.argv[2]), "uri")
class Deadly(test["StandinPolicy"]):
    @classmethod
    def load(cls, path):
        policy = super().load(path)
        if abs(policy.bias[0] - float(sys.argv[3])) < 1e-6:
            os.kill(os.getpid(), signal.SIGSEGV)
        return policy
client = rig.start(lambda: Deadly.load)
refused = []
client._refuse = lambda manifest, error: refused.append(str(error))
rig.announce(rig.publish(3)[0])
rig.await_("answer", lambda: refused or rig.in_use() == 3)
print(rig.in_use(), rig.store.active(), refused)
rig.close()
"""


@pytest.mark.parametrize(('deadly', 'in_use'), [(2, 3), (3, 2)])
def test_weights_that_kill_the_process_are_gone_back_from(
    tmp_path: Path, deadly: int, in_use: int
) -> None:
    """Launch starts it again each time: three deaths, then the version before, or none newer; said, and reversible."""
    script = tmp_path / 'deadly.py'
    script.write_text(DEADLY)
    command = [sys.executable, str(script), __file__, str(tmp_path), str(deadly / 10)]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=100)

    codes = [run().returncode for _ in range(3)]
    assert codes == [-signal.SIGSEGV] * 3
    fourth = run()
    assert fourth.returncode == 0, fourth.stderr
    assert fourth.stdout.startswith(f'{in_use} ')
    said = fourth.stdout if deadly == 3 else fourth.stderr
    assert f'died 3 times in a row as it loaded version {deadly}' in said
    assert str(tmp_path / 'weights' / 'deaths') in said
    store = WeightsStore(tmp_path / 'weights')
    assert store.deaths() == {deadly: 3}
    if deadly == 2:
        assert store.holds(store.manifest(2))


def test_weights_that_have_run_once_are_alive(rig: Rig) -> None:
    client = rig.start()
    assert rig.store.deaths() == {2: 1}
    active = rig.slot.active
    assert active is not None
    client.activated(active)
    rig.await_('end of the trial', lambda: rig.store.deaths() == {})


def test_leaving_before_the_warm_up_is_no_death(rig: Rig) -> None:
    client = rig.start()
    client.close()
    rig.client = None
    assert rig.store.deaths() == {}


def test_a_thread_that_fails_ends_the_process(tmp_path: Path) -> None:
    """Launch starts a process again that ended, not one that lives and does nothing."""
    script = tmp_path / 'fails.py'
    script.write_text(
        'import rclpy, time\n'
        'from lwd_policy_node.nodes.threads import start_thread\n'
        'rclpy.init()\n'
        "start_thread('weights', lambda: {}['nothing here'])\n"
        'time.sleep(60)\n'
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == FAILED
    assert 'the thread weights failed' in done.stderr and "KeyError: 'nothing here'" in done.stderr


def test_closed_while_weights_load_the_process_goes_on(tmp_path: Path) -> None:
    """Unconfigured is what the operator asked for; a process that ended would come back active."""
    script = tmp_path / 'closes.py'
    script.write_text(
        'import rclpy, runpy, threading\n'
        'from pathlib import Path\n'
        f'test = runpy.run_path({__file__!r})\n'
        'rclpy.init(domain_id=test["DOMAIN"])\n'  # the process itself is not asked to leave
        f'rig = test["Rig"](Path({str(tmp_path)!r}), "uri")\n'
        'loading, closed = threading.Event(), threading.Event()\n'
        'closed.set()\n'
        'def load(path):\n'
        '    loading.set()\n'
        '    closed.wait()\n'
        '    return test["StandinPolicy"].load(path)\n'
        'client = rig.start(lambda: load)\n'
        'loading.clear(), closed.clear()\n'
        'rig.announce(rig.publish(3)[0])\n'
        'loading.wait()\n'
        'client.close()\n'
        'closed.set()\n'
        'client._thread.join()\n'
        'assert rig.in_use() == 2\n'
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
