"""Published versions on disk and the counter that never goes back."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lwd_learner.publish import keys_command, publish_command
from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.canary import CanaryPlan
from lwd_learner.publish.fleet_log import FleetLog, WeightsEvent
from lwd_learner.publish.publisher import Publisher
from lwd_learner.training.status import Status
from lwd_policy_node.stop_signal import StopSignal
from lwd_policy_node.weights import Manifest, WeightsRefused, ensure_key_pair
from safetensors.numpy import save_file


def _publish(archive: Archive, source: Path, version: int) -> None:
    staged = archive.stage(source)
    archive.admit(
        Manifest(0, version, 0, 'sft', 0, 'c', '', staged.size_bytes, staged.sha256), staged
    )


def test_versions_go_on_for_ever(tmp_path: Path) -> None:
    """Neither a restart nor an emptied run folder makes a version that robots have seen before."""
    counter = VersionCounter(tmp_path / 'learner.version')
    assert [counter.next() for _ in range(3)] == [1, 2, 3]
    assert VersionCounter(tmp_path / 'learner.version').next() == 4
    assert counter.next(at_least=9) == 9
    (tmp_path / 'learner.version').write_text('seven')
    with pytest.raises(ValueError, match="holds 'seven'"):
        counter.next()


def test_two_processes_never_take_one_number(tmp_path: Path) -> None:
    """`train` and the publish command may run at once."""
    code = (
        'import sys; from pathlib import Path; from lwd_learner.publish.archive import '
        'VersionCounter; c = VersionCounter(Path(sys.argv[1])); '
        'print(*[c.next() for _ in range(50)])'
    )
    command = [sys.executable, '-c', code, str(tmp_path / 'v')]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    taken = [int(word) for process in running for word in process.communicate()[0].split()]
    assert sorted(taken) == list(range(1, 101))


def test_one_learner_publishes_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`publish` beside a running learner says who is there, and leaves what that one is writing."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '159')
    key = ensure_key_pair(tmp_path / 'keys').private_path
    policy = tmp_path / 'policy.safetensors'
    save_file({'w': np.zeros(1, np.float32)}, policy, {'lwd.config_hash': 'c'})
    code = (
        'import sys; from pathlib import Path; from lwd_learner.publish import Publisher; '
        'p = Publisher(Path(sys.argv[1]), Path(sys.argv[2])); print("there", flush=True); input()'
    )
    command = [sys.executable, '-c', code, str(tmp_path / 'run'), str(key)]
    publish = [str(policy), '--run-dir', str(tmp_path / 'run'), '--key', str(key)]
    publish += ['--once-loaded-by', '1', '--timeout-s', '0']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as learner:
        try:
            assert learner.stdout is not None and learner.stdout.readline() == b'there\n'
            half = tmp_path / 'run' / 'published' / 'staging-1-policy.safetensors'
            half.touch()
            assert publish_command.main(publish) == 1
            error = capsys.readouterr().err
            assert f'process {learner.pid} publishes from {half.parent}' in error
            assert '--run-dir' in error and half.exists()
        finally:
            learner.kill()
    with Publisher(tmp_path / 'run', key) as publisher:
        assert publisher.publish(policy, stage='sft', step=0) == 1
        assert not half.exists()
    Publisher(tmp_path / 'run', key).close()


def test_what_waited_is_followed_under_its_new_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial taken back meanwhile gives the fleet a higher number, and what waits one above that."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '157')
    key = ensure_key_pair(tmp_path / 'keys').private_path
    policy = tmp_path / 'policy.safetensors'
    command = publish_command.PublishCommand(policy, once_loaded_by=1, timeout_s=0.0)
    with Publisher(tmp_path / 'run', key, canary=CanaryPlan(share=0.5)) as publisher:

        def publish(value: float) -> int:
            save_file({'w': np.full(1, value, np.float32)}, policy, {'lwd.config_hash': 'c'})
            return publisher.releases.publish(policy, stage='sft', step=0, robots=('a', 'b'))

        def load(version: int) -> None:
            publisher.fleet.add_event(
                WeightsEvent(version, 'a', 'loaded', 1.0, 2.0, 'service', 0.1, '')
            )

        published = [publish(value) for value in (1.0, 2.0, 3.0)]
        stop = StopSignal()
        assert published == [1, 2, 3] and publisher.releases.take_back(2) == 4
        load(4)
        assert publish_command._serve(command, publisher, 3, stop) == 1, 'those are other bytes'
        publisher.releases.next_in_line(('a', 'b'))
        assert publisher.releases.state().trial == 5
        load(5)
        assert publish_command._serve(command, publisher, 3, stop) == 0


def test_old_versions_make_room_and_are_named(tmp_path: Path) -> None:
    """The disk does not fill; a robot that asks for a version gone is told the newest."""
    archive = Archive(tmp_path / 'published', keep=2)
    source = tmp_path / 'policy.safetensors'
    for version in (1, 2, 3):
        source.write_bytes(bytes([version]) * 10)
        _publish(archive, source, version)
    assert archive.versions() == [2, 3]
    assert archive.bytes_of(3)[:] == b'\x03' * 10
    with pytest.raises(LookupError, match='version 1 is not kept: newest is 3'):
        archive.bytes_of(1)
    assert Archive(tmp_path / 'published').manifest(3).version == 3


def test_a_checkpoint_that_must_not_be_published_is_refused_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learner itself does not announce NaN weights or files that are no policy."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '158')
    pair = ensure_key_pair(tmp_path / 'keys')
    path = tmp_path / 'policy.safetensors'
    with Publisher(tmp_path / 'run', pair.private_path) as publisher:
        save_file({'w': np.array([np.nan], np.float32)}, path, {'lwd.config_hash': 'c'})
        with pytest.raises(WeightsRefused, match='tensor w'):
            publisher.publish(path, stage='sft', step=0)
        save_file({'w': np.zeros(1, np.float32)}, path)
        with pytest.raises(ValueError, match=r'lwd\.config_hash'):
            publisher.publish(path, stage='sft', step=0)
        assert publisher.newest is None
    with pytest.raises(RuntimeError, match='not started'):
        publisher.publish(path, stage='sft', step=0)


def test_delays_of_latecomers_are_marked(tmp_path: Path) -> None:
    """A robot switched on after a publication does not count in published-to-loaded."""
    log = FleetLog(tmp_path / 'weights.jsonl')

    def loaded(robot: str, version: int, published_s: float, loaded_s: float) -> None:
        log.add_event(
            WeightsEvent(version, robot, 'loaded', published_s, loaded_s, 'service', 0.1, '')
        )

    loaded('late', 1, 10.0, 40.0)
    loaded('late', 2, 50.0, 51.0)
    rows = [json.loads(line) for line in (tmp_path / 'weights.jsonl').read_text().splitlines()]
    assert [row['present'] for row in rows] == [False, True]
    assert log.events()[1].delay_s == pytest.approx(1.0)
    assert log.wait_for(2, 'loaded', 1, 0.0) and not log.wait_for(2, 'loaded', 2, 0.0)


def test_keys_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command makes the pair, and running it again changes nothing."""
    assert keys_command.main(['--dir', str(tmp_path), '--json']) == 0
    first = json.loads(capsys.readouterr().out)
    assert first['created'] and stat.S_IMODE(Path(first['private']).stat().st_mode) == 0o600
    assert keys_command.main(['--dir', str(tmp_path)]) == 0
    assert f'found key {first["key_id"]}' in capsys.readouterr().out
    Path(first['private']).chmod(0o640)
    assert keys_command.main(['--dir', str(tmp_path)]) == 1
    assert 'chmod 600' in capsys.readouterr().err


def test_an_event_begins_a_line_of_its_own(tmp_path: Path) -> None:
    """After a line that a kill or a full disk cut short, too: one event is torn, not two."""
    path = tmp_path / 'weights.jsonl'
    path.write_text('{"version": 1, "ro')
    log = FleetLog(path)
    for version in (2, 3):
        log.add_event(WeightsEvent(version, 'a', 'loaded', 0.0, 1.0, 'uri', 0.5, ''))
    torn, *lines = path.read_text().splitlines()
    assert torn == '{"version": 1, "ro'
    assert [json.loads(line)['version'] for line in lines] == [2, 3]


def test_what_is_announced_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, synced: set[int]
) -> None:
    """A power cut right after a rename leaves no empty manifest or status, and no folder that is gone again."""
    source = tmp_path / 'policy.safetensors'
    save_file({'w': np.zeros(4, np.float32)}, source)
    archive = Archive(tmp_path / 'published')
    _publish(archive, source, 1)
    manifest = archive.policy_path(1).with_name('manifest.json')
    assert {archive.folder.stat().st_ino, manifest.stat().st_ino} <= synced
    archive.rewrite(archive.manifest(1))
    assert manifest.stat().st_ino in synced
    status = Status(tmp_path)
    status.set(force=True, stage='online')
    status.close()
    assert (tmp_path / 'status.json').stat().st_ino in synced
    assert not list(tmp_path.rglob('*.part*'))
