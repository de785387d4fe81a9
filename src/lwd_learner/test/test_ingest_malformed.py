"""Malformed bags end in quarantine with a reason; ingest goes on, and its memory stays."""

from __future__ import annotations

import dataclasses
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from lwd_learner.ingest import Ingest, IngestConfig, StreamLimits
from lwd_learner.ingest.bag_messages import plain_definition
from lwd_learner.replay import Replay
from lwd_policy_node.inference.observation import decode_images
from lwd_recorder.bag.schema import message_definition

sys.path.append(str(Path(__file__).parent))  # tests are imported by path

from malformed_bags import CHANGES, GoodBag, deliver_bad, mcap_of

MOST_GROWTH_MB = 100.0


def resident_mb() -> tuple[float, float]:
    """Resident now, and most since `reset`."""
    status = Path('/proc/self/status').read_text()
    found = {
        line.split(':')[0]: int(line.split()[1]) / 1024
        for line in status.splitlines()
        if line.startswith(('VmRSS', 'VmHWM'))
    }
    return found['VmRSS'], found['VmHWM']


def forget_peak() -> None:
    Path('/proc/self/clear_refs').write_text('5')


@pytest.mark.parametrize(
    'count', [104, pytest.param(1040, marks=pytest.mark.long)], ids=['some', 'a thousand']
)
def test_malformed_bags_are_set_aside_and_memory_stays(
    tmp_path: Path, store, send, profile, hand_made, count
):
    made = hand_made(image_every=1)
    manifest = send(made)
    good = GoodBag.read(tmp_path / 'bags' / made.episode_id, manifest)
    bad = dict(deliver_bad(store, tmp_path / 'bad', good, i, seed=1) for i in range(count))
    replay = Replay.create(tmp_path / 'replay', profile)
    ingest = Ingest(
        store,
        replay,
        profile,
        tmp_path / 'ingest.jsonl',
        # images of 64x64: decode each
        IngestConfig(limits=StreamLimits(verify_every=1)),
    )
    seen = 0

    def on_result(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 60:
            forget_peak()
            before.append(resident_mb()[0])

    before: list[float] = []
    results = ingest.poll(on_result)
    assert ingest.trouble is None
    reasons: dict[str, list[str]] = defaultdict(list)
    for result in results:
        if result.episode_id in bad:
            assert result.quarantined, f'{bad[result.episode_id]} was believed'
            reasons[bad[result.episode_id]].append(result.quarantined)
            assert (store.root / 'quarantine' / result.episode_id / 'reason.txt').is_file()
    assert sum(map(len, reasons.values())) == count and len(reasons) == len(CHANGES)
    assert all('makes no sense' not in reason for of in reasons.values() for reason in of), reasons
    assert [episode.episode_id for episode in replay.episodes('online')] == [made.episode_id]
    assert resident_mb()[1] - before[0] < MOST_GROWTH_MB


def test_a_bag_beyond_the_limits_is_refused(tmp_path: Path, store, send, profile, hand_made):
    """Each limit by its name; re-encoded, the same bag is taken."""
    from lwd_learner.ingest import DamagedEpisodeError, read_streams
    from lwd_learner.ingest.bag_messages import BagLimits

    made = hand_made()
    send(made)
    bag = tmp_path / 'bags' / made.episode_id

    def read(**limits: object) -> None:
        limit = StreamLimits(**limits)  # type: ignore[arg-type]
        read_streams(bag, made.robot_id, made.episode_id, profile, limit).close()

    for words, limits in {
        'more than 20 messages': {'bag': BagLimits(max_messages=20)},
        'more than 1000 bytes': {'bag': BagLimits(max_bytes=1000)},
        'the limit of a chunk is 500': {'bag': BagLimits(max_chunk_bytes=500)},
        'head: an image of': {'max_image_bytes': 100},
    }.items():
        with pytest.raises(DamagedEpisodeError, match=words):
            read(**limits)
    read()


def test_images_are_re_encoded_to_training_size_when_asked(
    tmp_path: Path, store, send, profile, hand_made
):
    import simplejpeg

    made = hand_made()
    send(made)
    replay = Replay.create(tmp_path / 'replay', profile)
    limits = StreamLimits(training_size=(32, 24))
    ingest = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl', IngestConfig(limits=limits))
    assert [r.quarantined for r in ingest.poll()] == [None]
    rows = replay.all_image_rows('online')
    assert replay.images(rows).shape[2:] == (24, 32, 3)
    (small,) = {len(row) for row in replay.jpegs(rows)}
    assert small == len(profile.cameras)
    image = simplejpeg.decode_jpeg(replay.jpegs(rows)[0][1])
    assert abs(image[12:, 8:].reshape(-1, 3).astype(int) - [21, 80, 128]).max() < 12


def test_images_are_stored_as_a_policy_sees_them_where_the_profile_says_how(
    tmp_path: Path, store, send, profile, hand_made
):
    """What training sees is what the robot's policy sees, but for being compressed once more."""
    send(hand_made())
    seen = dataclasses.replace(profile, policy_image=(40, 32))
    replays = []
    for name, robot in (('whole', profile), ('seen', seen)):
        replays.append(Replay.create(tmp_path / name, robot))
        ingest = Ingest(store, replays[-1], robot, tmp_path / f'{name}.jsonl')
        assert [r.quarantined for r in ingest.poll()] == [None]
    whole, small = replays
    row = whole.all_image_rows('online')[:1]
    names = [camera.name for camera in profile.cameras]
    on_robot = decode_images(seen, dict(zip(names, whole.jpegs(row)[0], strict=True)))
    stored = dict(zip(names, small.images(row)[0], strict=True))
    for name in names:
        assert stored[name].shape == on_robot[name].shape == (32, 40, 3)
        assert abs(stored[name].astype(int) - on_robot[name]).mean() < 3


def test_definitions_are_compared_by_their_fields():
    text = message_definition('sensor_msgs/msg/JointState')
    other = '# a comment\n' + text.replace('float64[] position', 'float64[]   position  # rad')
    assert plain_definition(other) == plain_definition(text)
    assert plain_definition(text.replace('float64[] position', 'float32[] position')) != (
        plain_definition(text)
    )
    assert mcap_of([])[:8] == b'\x89MCAP0\r\n'
