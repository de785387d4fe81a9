"""Every reason for which a robot refuses weights, each with one way to provoke it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lwd_policy_node.inference.observation import zero_observation
from lwd_policy_node.installation import InstallationError
from lwd_policy_node.profile import load_profile, policy_facts
from lwd_policy_node.weights import (
    KeyFileError,
    Manifest,
    Refusal,
    WeightsRefused,
    ensure_key_pair,
    load_private_key,
    load_trusted_keys,
)
from lwd_policy_node.weights.checks import check_manifest, file_sha256, open_checked
from lwd_policy_node.weights.statistics import TensorStatistics, measure
from lwd_policy_node.weights.tensors import read_header
from safetensors.numpy import save_file

SHAPE = (16, 16)
CONFIG = 'c0' * 32


class Flat:
    """The smallest policy: the tensor `bias` (A,) at every step."""

    def __init__(self, path: Path) -> None:
        from safetensors.numpy import load_file

        self.bias = load_file(path)['bias']
        self.config_hash = read_header(path).metadata['lwd.config_hash']

    def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
        return np.tile(self.bias.astype(float), (16, 1))


class Case:
    """A robot's keys and one published file, to be spoilt by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / 'keys'
        self.private = load_private_key(ensure_key_pair(self.keys).private_path)
        self.path = folder / 'policy.safetensors'
        self.load: Callable[[Path], Any] = Flat
        self.sample: Callable[[str], Any] = lambda instruction: instruction
        self.active_version = 4
        self.config_hash = ''
        self.like: Path | None = None
        self.in_use: tuple[TensorStatistics, ...] = ()
        self.floor = 0
        self.save({'bias': np.zeros(16, np.float32)})

    def save(self, tensors: dict[str, Any], config: str = CONFIG, **made_for: Any) -> None:
        facts = policy_facts(load_profile('g1')) | made_for
        metadata = {'lwd.config_hash': config, 'lwd.config': json.dumps(facts)}
        save_file(tensors, self.path, metadata=metadata)
        self.sign()

    def sign(self, **changes: Any) -> None:
        manifest = Manifest(
            published_ns=1_700_000_000_123_456_789,
            version=5,
            parent=4,
            stage='online',
            step=100,
            config_hash=CONFIG,
            replay_version='offline@3 online@9',
            size_bytes=self.path.stat().st_size,
            sha256=file_sha256(self.path),
            tensors=self.tensors(),
        )
        self.manifest = replace(manifest, **changes).signed(self.private)

    def tensors(self) -> tuple[TensorStatistics, ...]:
        try:
            return measure(self.path, read_header(self.path))
        except WeightsRefused:
            return ()

    def judge(self) -> None:
        check_manifest(
            self.manifest,
            trusted=load_trusted_keys(self.keys),
            where=str(self.keys),
            active_version=self.active_version,
            config_hash=self.config_hash,
            floor=self.floor,
        )
        open_checked(
            self.path,
            self.manifest,
            load=self.load,
            robot=policy_facts(load_profile('g1')),
            shape=SHAPE,
            sample=self.sample,
            like=self.like,
            in_use=self.in_use,
        )


def _no_key(case: Case) -> None:
    case.keys = case.folder / 'elsewhere'


def _unknown_key(case: Case) -> None:
    case.private = load_private_key(ensure_key_pair(case.folder / 'other').private_path)
    case.sign()


def _changed_after_signing(case: Case) -> None:
    case.manifest = replace(case.manifest, step=101)


def _truncated_signature(case: Case) -> None:
    case.manifest = replace(case.manifest, signature=case.manifest.signature[:63])


def _other_config(case: Case) -> None:
    case.config_hash = 'd1' * 32


def _file_of_another_config(case: Case) -> None:
    case.save({'bias': np.zeros(16, np.float32)}, config='d1' * 32)


def _another_robot(case: Case) -> None:
    case.save({'bias': np.zeros(16, np.float32)}, profile='humanoid')


def _another_rate(case: Case) -> None:
    case.save({'bias': np.zeros(16, np.float32)}, control_rate_hz=15.0)


def _another_order_of_joints(case: Case) -> None:
    order = policy_facts(load_profile('g1'))['relative_to_state']
    case.save({'bias': np.zeros(16, np.float32)}, relative_to_state=order[::-1])


def _another_camera(case: Case) -> None:
    case.save({'bias': np.zeros(16, np.float32)}, cameras=('head', 'hand_right', 'hand_left'))


def _replayed(case: Case) -> None:
    case.sign(version=3)


def _repeated(case: Case) -> None:
    case.sign(version=4)


def _pinned(case: Case) -> None:
    case.floor = 6


def _other_statistics(case: Case) -> None:
    case.sign(tensors=(TensorStatistics('bias', 0.0, 0.5),))


def _other_tensors(case: Case) -> None:
    case.sign(tensors=(TensorStatistics('scale', 0.0, 0.0),))


def _diverged(case: Case) -> None:
    case.in_use = (TensorStatistics('bias', 0.3, 2.0),)
    case.like = case.folder / 'active.safetensors'
    case.path.replace(case.like)
    case.save({'bias': np.full(16, 201.0, np.float32)})


def _truncated(case: Case) -> None:
    case.path.write_bytes(case.path.read_bytes()[:-1])


def _bit_flipped(case: Case) -> None:
    data = bytearray(case.path.read_bytes())
    data[-1] ^= 1
    case.path.write_bytes(data)


def _not_safetensors(case: Case) -> None:
    case.path.write_bytes(b'\x80\x04pickle, perhaps' * 10)
    case.sign()


def _offsets_beyond_the_file(case: Case) -> None:
    head = {'bias': {'dtype': 'F32', 'shape': [16], 'data_offsets': [0, 64]}}
    text = json.dumps(head).encode()
    case.path.write_bytes(struct.pack('<Q', len(text)) + text + b'\0' * 32)
    case.sign()


def _nan(case: Case) -> None:
    bias = np.zeros(16, np.float32)
    bias[7] = np.nan
    case.save({'bias': bias})


def _infinite_half(case: Case) -> None:
    case.save({'bias': np.full(16, np.inf, np.float16)})


def _wrong_shape(case: Case) -> None:
    case.like = case.folder / 'active.safetensors'
    case.path.replace(case.like)
    case.save({'bias': np.zeros(12, np.float32)})


def _does_not_load(case: Case) -> None:
    case.save({'weight': np.zeros(16, np.float32)})


def _smoke_shape(case: Case) -> None:
    case.save({'bias': np.zeros(12, np.float32)})


def _smoke_raises(case: Case) -> None:
    class Broken(Flat):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            raise RuntimeError('mat1 and mat2 shapes cannot be multiplied')

    case.load = Broken


def _smoke_library(case: Case) -> None:
    class Unlinked(Flat):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            raise OSError('libgomp.so.1: cannot open shared object file')

    case.load = Unlinked


def _smoke_nan(case: Case) -> None:
    class Divides(Flat):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            return np.full(SHAPE, np.nan)

    case.load = Divides


REFUSALS = [
    (_no_key, Refusal.NO_TRUSTED_KEY, 'ros2 run lwd_learner keys'),
    (_unknown_key, Refusal.UNKNOWN_KEY, 'trusted at'),
    (_changed_after_signing, Refusal.BAD_SIGNATURE, 'changed after signing'),
    (_truncated_signature, Refusal.BAD_SIGNATURE, 'does not fit'),
    (_other_config, Refusal.OTHER_CONFIG, 'config_hash'),
    (_file_of_another_config, Refusal.OTHER_CONFIG, 'its manifest says'),
    (_another_robot, Refusal.OTHER_ROBOT, 'humanoid'),
    (_another_rate, Refusal.OTHER_ROBOT, 'control_rate_hz 15.0, this one has 30.0'),
    (_another_order_of_joints, Refusal.OTHER_ROBOT, 'relative_to_state'),
    (_another_camera, Refusal.OTHER_ROBOT, 'cameras'),
    (_replayed, Refusal.NOT_NEWER, 'version 3 is not newer than version 4'),
    (_repeated, Refusal.NOT_NEWER, 'version 4 is not newer than version 4'),
    (_pinned, Refusal.PINNED, 'older than version 6'),
    (_other_statistics, Refusal.STATISTICS, 'max_abs 0 in the file, 0.5 in the manifest'),
    (_other_tensors, Refusal.STATISTICS, 'tensor bias is missing in the manifest'),
    (_diverged, Refusal.STATISTICS, 'may have diverged'),
    (_truncated, Refusal.WRONG_SIZE, 'bytes'),
    (_bit_flipped, Refusal.HASH_MISMATCH, 'changed on the way'),
    (_not_safetensors, Refusal.MALFORMED, 'header length'),
    (_offsets_beyond_the_file, Refusal.MALFORMED, 'tensor bias'),
    (_nan, Refusal.NON_FINITE, 'tensor bias'),
    (_infinite_half, Refusal.NON_FINITE, 'F16'),
    (_wrong_shape, Refusal.SHAPE_MISMATCH, 'tensor bias: [12] here, [16]'),
    (_does_not_load, Refusal.LOAD_FAILED, 'KeyError'),
    (_smoke_shape, Refusal.SMOKE_FAILED, '(16, 12)'),
    (_smoke_raises, Refusal.SMOKE_FAILED, 'cannot be multiplied'),
    (_smoke_library, Refusal.SMOKE_FAILED, 'libgomp.so.1'),
    (_smoke_nan, Refusal.SMOKE_FAILED, 'NaN'),
]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize(('spoil', 'kind', 'words'), REFUSALS)
def test_bad_weights_are_refused_with_their_reason(
    case: Case, spoil: Callable[[Case], None], kind: Refusal, words: str
) -> None:
    """Each fault is caught by its own check, whose text names the thing and the remedy."""
    case.judge()  # good before it is spoilt
    spoil(case)
    with pytest.raises(WeightsRefused) as refused:
        case.judge()
    assert refused.value.kind is kind
    assert words in str(refused.value)


def test_every_check_has_a_case() -> None:
    """A reason that no test provokes would be a promise: those of the transport are elsewhere."""
    elsewhere = {Refusal.DISK, Refusal.UNREACHABLE, Refusal.WENT_BACK, Refusal.DEADLY}
    assert {kind for _, kind, _ in REFUSALS} == set(Refusal) - elsewhere


def test_embeddings_of_instructions_may_grow(case: Case) -> None:
    """A policy that has met a new instruction is the same architecture."""
    case.save({'bias': np.zeros(16, np.float32), 'text.embeddings': np.zeros((1, 4), np.float32)})
    case.like = case.folder / 'active.safetensors'
    case.path.replace(case.like)
    case.save({'bias': np.zeros(16, np.float32), 'text.embeddings': np.zeros((2, 4), np.float32)})
    case.judge()


def test_weights_are_tried_with_what_they_know_where_the_encoder_is_missing(case: Case) -> None:
    """The robot's last instruction is new to them, and this computer cannot embed it: no fault of theirs."""

    class Monoglot(Flat):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            if obs.instruction != 'known':
                raise InstallationError('the sentence encoder cannot be loaded')
            return super().act(obs, seed, frozen)

    case.load = Monoglot
    case.sample = lambda _: zero_observation(load_profile('g1'), 'new')
    with pytest.raises(WeightsRefused, match='sentence encoder'):
        case.judge()  # they know none at all
    metadata = {'lwd.config_hash': CONFIG, 'lwd.instructions': '["known"]'}
    save_file({'bias': np.zeros(16, np.float32)}, case.path, metadata=metadata)
    case.sign()
    case.judge()


def test_bfloat16_is_scanned(case: Case) -> None:
    """bf16, which NumPy lacks, is checked for NaN by its bits."""
    for bits, good in ((0x3F80, True), (0x7FC0, False)):
        head = {'bias': {'dtype': 'BF16', 'shape': [2], 'data_offsets': [0, 4]}}
        text = json.dumps({'__metadata__': {'lwd.config_hash': CONFIG}, **head}).encode()
        data = struct.pack('<Q', len(text)) + text + struct.pack('<HH', 0x3F80, bits)
        case.path.write_bytes(data)
        case.sign()
        case.load = lambda path: type(
            'P', (), {'config_hash': CONFIG, 'act': lambda *_: np.zeros(SHAPE)}
        )()
        if good:
            case.judge()
        else:
            with pytest.raises(WeightsRefused, match='non-finite tensor: tensor bias'):
                case.judge()


def test_manifest_json_round_trip_and_its_faults(case: Case) -> None:
    """What lies on disk is the same manifest, and a damaged file is named."""
    manifest = case.manifest
    assert Manifest.from_json(manifest.to_json()) == manifest
    for text in ('{', '{}', manifest.to_json().replace('"step": 100', '"step": "100"')):
        with pytest.raises(ValueError, match=r'here\.json'):
            Manifest.from_json(text, 'here.json')


def test_manifest_survives_the_message(case: Case) -> None:
    """The signature holds after a trip through the ROS message."""
    from lwd_policy_node.weights.wire import manifest_from_message, manifest_to_message
    from rclpy.serialization import deserialize_message, serialize_message

    message = manifest_to_message(case.manifest)
    again = deserialize_message(serialize_message(message), type(message))
    assert manifest_from_message(again) == case.manifest
    manifest_from_message(again).verify(load_trusted_keys(case.keys))


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    """Running the command again keeps the pair; a key open to others is not used."""
    first = ensure_key_pair(tmp_path)
    assert first.created and first.private_path.stat().st_mode & 0o777 == 0o600
    again = ensure_key_pair(tmp_path)
    assert not again.created and again.key_id == first.key_id
    first.public_path.unlink()
    assert ensure_key_pair(tmp_path).key_id == first.key_id
    first.private_path.chmod(0o644)
    with pytest.raises(KeyFileError, match='chmod 600'):
        load_private_key(first.private_path)
    first.private_path.unlink()
    with pytest.raises(KeyFileError, match=r'without learner\.ed25519'):
        ensure_key_pair(tmp_path)


def test_a_damaged_public_key_is_named(tmp_path: Path) -> None:
    """A broken .pub file among the trusted keys is an error, not a key fewer."""
    (tmp_path / 'x.pub').write_text('not a key')
    with pytest.raises(KeyFileError, match=r'x\.pub'):
        load_trusted_keys(tmp_path)
