"""A manifest comes back as it was saved, and anything else is refused by field."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_recorder.bag import FileRecord, TopicRecord
from lwd_recorder.manifest import (
    EpisodeManifest,
    LossRecord,
    ManifestError,
    ManifestUnreadableError,
)

Maker = Callable[..., EpisodeManifest]
DIGEST = '0' * 64


def manifest(**facts: Any) -> EpisodeManifest:
    fields: dict[str, Any] = {
        'episode_id': 'g1_01-20260101T000000-deadbeef',
        'robot_id': 'g1_01',
        'profile': 'g1_laptop',
        'task': 'restock',
        'instruction': 'pick the red can',
        'kind': 'rollout',
        'seed': 2**63 + 5,
        'outcome': 'failure',
        'ended_by': 'timeout',
        'started_s': 3.5,
        'ended_s': 9.25,
        'ended_wall_s': 1_767_225_599.5,
        'committed_wall_s': 0.0,
        'files': (FileRecord('a_0.mcap', 10, DIGEST), FileRecord('metadata.yaml', 3, DIGEST)),
        'topics': {
            '/g1_01/joint_states': TopicRecord('sensor_msgs/msg/JointState', 5, 30.0, 0.04)
        },
        'policy_versions': (2, 3),
        'takeovers': 1,
        'human_s': 1.25,
        'notes': ('12 messages dropped',),
    }
    return EpisodeManifest(**(fields | facts))


def test_round_trip(tmp_path: Path) -> None:
    saved = manifest()
    saved.save(tmp_path)
    assert EpisodeManifest.load(tmp_path) == saved
    assert EpisodeManifest.load(tmp_path / 'manifest.json') == saved
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


@settings(max_examples=50, deadline=None)
@given(
    instruction=st.text(max_size=200),
    versions=st.lists(st.integers(0, 2**64 - 1), max_size=5).map(tuple),
    started_s=st.floats(0, 1e10),
)
def test_round_trip_of_any_text(instruction: str, versions: Any, started_s: float) -> None:
    saved = manifest(
        instruction=instruction, policy_versions=versions, started_s=started_s, ended_s=1e10
    )
    assert EpisodeManifest.from_json(saved.to_json()) == saved


def test_key_is_by_robot_day_and_episode() -> None:
    """The day is UTC's: keys do not depend on where the robot stands."""
    assert manifest().key_prefix == (
        'robots/g1_01/episodes/2025-12-31/g1_01-20260101T000000-deadbeef'
    )


def test_same_content_ignores_when_it_was_committed() -> None:
    one = manifest()
    assert one.same_content(replace(one, committed_wall_s=5.0))
    assert not one.same_content(replace(one, files=(FileRecord('a_0.mcap', 10, '1' * 64),)))


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('schema', 2),
        ('episode_id', '../../etc'),
        ('episode_id', 'a/b'),
        ('episode_id', ''),
        ('robot_id', '..'),
        ('kind', 'test'),
        ('outcome', 'great'),
        ('started_s', float('nan')),
        ('ended_s', 1.0),
        ('ended_wall_s', 'now'),
        ('seed', -1),
        ('takeovers', True),
        ('recovered', 1),
        ('files', ()),
        ('policy_versions', ('1',)),
        ('files', (FileRecord('../x', 1, DIGEST),)),
        ('files', (FileRecord('manifest.json', 1, DIGEST),)),
        ('files', (FileRecord('a', -1, DIGEST),)),
        ('files', (FileRecord('a', 1, 'abc'),)),
        ('files', (FileRecord('a', 1, DIGEST), FileRecord('a', 2, DIGEST))),
        ('topics', {'relative': TopicRecord('x', 1, 1.0, 0.0)}),
        ('topics', {'/a': TopicRecord('x', 1, float('inf'), 0.0)}),
    ],
)
def test_wrong_values_are_named(field: str, value: Any) -> None:
    with pytest.raises(ManifestError, match=field):
        manifest(**{field: value})


@pytest.mark.parametrize(
    'field', ['schema', 'episode_id', 'files', 'topics', 'recovered', 'notes']
)
def test_missing_fields_are_named(field: str) -> None:
    document = json.loads(manifest().to_json())
    del document[field]
    with pytest.raises(ManifestError, match=field):
        EpisodeManifest.from_json(json.dumps(document))


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        '{}',
        'null',
        '{"schema": 1}',
        '\x00',
        '[' * 100_000,
        '{"a": NaN}',
        ' ' * (5 << 20),
    ],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        EpisodeManifest.from_json(text)


@pytest.mark.parametrize(
    ('field', 'value'),
    [('files', {'a': 1}), ('files', [1]), ('files', [{'name': 'a'}]), ('topics', []),
     ('topics', {'/a': {'type': 'x', 'count': 1, 'rate_hz': 1.0, 'max_gap_s': 0.0, 'extra': 1}}),
     ('unknown', 1), ('notes', 'text')],
)  # fmt: skip
def test_wrong_shapes_are_named(field: str, value: Any) -> None:
    document = json.loads(manifest().to_json())
    document[field] = value
    with pytest.raises(ManifestError, match=field):
        EpisodeManifest.from_json(json.dumps(document))


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / 'manifest.json').write_text('{')
    with pytest.raises(ManifestError, match=r'manifest\.json'):
        EpisodeManifest.load(tmp_path)
    with pytest.raises(ManifestError, match='missing'):
        EpisodeManifest.load(tmp_path / 'missing')


@pytest.mark.parametrize('number', [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM])
def test_what_cannot_be_read_now_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, 'read_bytes', refuse)
    with pytest.raises(ManifestUnreadableError, match=r'manifest\.json.*try again') as caught:
        EpisodeManifest.load(tmp_path)
    assert os.strerror(number) in str(caught.value)


def test_of_a_real_bag(tmp_path: Path, make_episode: Maker) -> None:
    saved = make_episode(tmp_path / 'g1_01-x')
    assert saved.topics['/g1_01/joint_states'].count == 30
    assert {file.name for file in saved.files} == {'g1_01-x_0.mcap', 'metadata.yaml'}


def test_what_was_lost_survives_the_file() -> None:
    """And a manifest that was written before there was such a field is read as one that lost nothing."""
    repaired = manifest(recovered=True, lost=LossRecord(1200, 0.4, ('/g1_01/joint_states',)))
    assert EpisodeManifest.from_json(repaired.to_json()) == repaired
    document = json.loads(manifest().to_json())
    del document['lost']
    assert EpisodeManifest.from_json(json.dumps(document)).lost is None
    for wrong in ({'bytes': -1}, {'seconds': 'x'}, {'topics': [3]}, {'more': 1}):
        document['lost'] = {'bytes': 1, 'seconds': 0.0, 'topics': []} | wrong
        with pytest.raises(ManifestError, match='lost'):
            EpisodeManifest.from_json(json.dumps(document))
