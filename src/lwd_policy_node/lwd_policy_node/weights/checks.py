"""Every check between an announced manifest and weights that may move a robot, in order.

`check_manifest` before a byte is pulled, `check_file` on the bytes, `check_policy` on the loaded
model. Each raises `WeightsRefused` with the reason that the robot reports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lwd_policy_node.installation import InstallationError
from lwd_policy_node.weights.manifest import Manifest
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.statistics import (
    TensorStatistics,
    check_finite,
    check_growth,
    check_promised,
)
from lwd_policy_node.weights.tensors import Header, check_shapes, read_header

CONFIG_KEY = 'lwd.config'
INSTRUCTIONS_KEY = 'lwd.instructions'
CONFIG_HASH_KEY = 'lwd.config_hash'
SMOKE_SEED = 0
READ_BYTES = 1 << 22
INFERENCE_FAILS = (
    ArithmeticError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a policy that does not work raises."""


class LoadedPolicy(Protocol):
    """The part of a policy that the robot needs."""

    @property
    def config_hash(self) -> str:
        """Return the sha256 (hex) of the policy's configuration."""

    def act(
        self, obs: Any, seed: int, frozen: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return (H, A) absolute joint targets for one observation."""


@runtime_checkable
class Judging(Protocol):
    """A policy that can say what it thinks of its plan."""

    value: float
    """Q of the last chunk; NaN if nothing has learned one."""


Load = Callable[[Path], LoadedPolicy]
Sample = Callable[[str], Any]  # instruction for a robot that has none -> observation


def check_manifest(
    manifest: Manifest,
    *,
    trusted: Mapping[str, Ed25519PublicKey],
    where: str,
    active_version: int,
    config_hash: str,
    floor: int = 0,
) -> None:
    """Check signature, order and architecture of an announced manifest.

    Args:
        manifest: the announcement.
        trusted: public keys by id.
        where: place of the trusted keys, named in the reason.
        active_version: newest version in use or in standby; 0 = none.
        config_hash: the only architecture this robot takes; empty: every one that fits it.
        floor: oldest version that may be taken, by an earlier manifest; 0 = any.

    Raises:
        WeightsRefused: no trusted key, unknown key, bad signature, other config, older than
            pinned, not newer.
    """
    manifest.verify(trusted, where)
    if config_hash not in ('', manifest.config_hash):
        raise WeightsRefused(
            Refusal.OTHER_CONFIG,
            f'version {manifest.version} has {manifest.config_hash[:12]}, this robot takes '
            f"{config_hash[:12]}: set policy_node's parameter config_hash to change that",
        )
    if manifest.version < floor:
        raise WeightsRefused(
            Refusal.PINNED,
            f'version {manifest.version} is older than version {floor}, which the learner has '
            f'pinned; remove the file "floor" from the weights folder of this robot to lift that',
        )
    if manifest.version <= active_version:
        raise WeightsRefused(
            Refusal.NOT_NEWER,
            f'version {manifest.version} is not newer than version {active_version} in use; '
            f'publish it again under a new version, or empty the weights folder of this robot and '
            f'restart policy_node',
        )


def check_file(
    path: Path,
    manifest: Manifest,
    *,
    robot: Mapping[str, object] = MappingProxyType({}),
    like: Path | None = None,
    in_use: Iterable[TensorStatistics] = (),
) -> None:
    """Check size, hash, form, robot, finiteness, shapes and statistics of a pulled file.

    Args:
        path: the safetensors file.
        manifest: its verified manifest.
        robot: what the file's configuration must say, if it says anything of it; see `profile.policy_facts`.
        like: file in use; tensors must match when it can be read and has the same config_hash.
        in_use: its statistics, if it has the same config_hash; tensors must not have grown out of all proportion.

    Raises:
        WeightsRefused: wrong size, hash mismatch, malformed, other config, another robot,
            non-finite, shapes, statistics.
    """
    size = path.stat().st_size
    if size != manifest.size_bytes:
        raise WeightsRefused(
            Refusal.WRONG_SIZE,
            f'version {manifest.version}: {size} bytes, the manifest says {manifest.size_bytes}',
        )
    with ThreadPoolExecutor(1) as beside:  # the hash takes as long as the statistics
        measuring = beside.submit(_measure, path)
        digest = file_sha256(path)
        if digest != manifest.sha256:
            raise WeightsRefused(
                Refusal.HASH_MISMATCH,
                f'version {manifest.version}: sha256 {digest[:12]}, the manifest says '
                f'{manifest.sha256[:12]}; the bytes were changed on the way',
            )
        header = read_header(path)
        found = header.metadata.get(CONFIG_HASH_KEY, '')
        if found != manifest.config_hash:
            raise WeightsRefused(
                Refusal.OTHER_CONFIG,
                f'version {manifest.version}: the file has {found[:12] or "none"}, its manifest says '
                f'{manifest.config_hash[:12]}',
            )
        made_for = _configuration(header.metadata)
        for field, ours in robot.items():
            theirs = made_for.get(field)
            if theirs not in (None, '') and theirs != (
                list(ours) if isinstance(ours, tuple) else ours
            ):
                raise WeightsRefused(
                    Refusal.OTHER_ROBOT,
                    f'version {manifest.version} is for a robot with {field} {theirs}, this one has {ours}: '
                    f'learner and robot need the same profile',
                )
        measured = measuring.result()
        if manifest.tensors:
            check_promised(measured, manifest.tensors)
        if like is not None:
            reference = _header_if_readable(like)
            if reference and reference.metadata.get(CONFIG_HASH_KEY) == manifest.config_hash:
                check_shapes(header, reference)
        check_growth(measured, in_use)


def _header_if_readable(path: Path) -> Header | None:
    """The head of a file that runs from memory; it may be lost or damaged on disk, which is not the new one's fault."""
    try:
        return read_header(path)
    except (OSError, WeightsRefused):
        return None


def _measure(path: Path) -> tuple[TensorStatistics, ...]:
    return check_finite(path, read_header(path))


def load_checked(path: Path, manifest: Manifest, load: Load) -> LoadedPolicy:
    """Build the policy of a checked file.

    Raises:
        WeightsRefused: it does not load, or its configuration is another one.
    """
    try:
        policy = load(path)
    except INFERENCE_FAILS as error:
        raise WeightsRefused(
            Refusal.LOAD_FAILED, f'version {manifest.version}: {type(error).__name__}: {error}'
        ) from error
    if policy.config_hash != manifest.config_hash:
        raise WeightsRefused(
            Refusal.OTHER_CONFIG,
            f'version {manifest.version}: the model has {policy.config_hash[:12]}, its manifest '
            f'says {manifest.config_hash[:12]}',
        )
    return policy


def check_policy(
    policy: LoadedPolicy,
    version: int,
    observation: Any,
    shape: tuple[int, int],
    known: str = '',
) -> None:
    """Run one inference and check what comes out.

    Args:
        policy: to be tried.
        version: of its weights.
        observation: what it is tried on.
        shape: (H, A) of the robot profile.
        known: an instruction that it knows, for a computer that lacks what the observation's needs; empty: none.

    Raises:
        WeightsRefused: the inference failed, or gave the wrong shape or non-finite targets.
    """
    try:
        chunk = np.asarray(_tried(policy, observation, known))
    except INFERENCE_FAILS as error:
        raise WeightsRefused(
            Refusal.SMOKE_FAILED, f'version {version}: {type(error).__name__}: {error}'
        ) from error
    if chunk.shape != shape:
        raise WeightsRefused(
            Refusal.SMOKE_FAILED,
            f'version {version}: a chunk of shape {chunk.shape}, this robot takes {shape}',
        )
    if not np.isfinite(chunk).all():
        raise WeightsRefused(
            Refusal.SMOKE_FAILED, f'version {version}: the chunk holds NaN or infinite targets'
        )


def _tried(policy: LoadedPolicy, observation: Any, known: str) -> npt.NDArray[np.float64]:
    try:
        return policy.act(observation, SMOKE_SEED)
    except InstallationError:  # no fault of the weights
        if not known:
            raise
        return policy.act(replace(observation, instruction=known), SMOKE_SEED)


def open_checked(
    path: Path,
    manifest: Manifest,
    *,
    load: Load,
    robot: Mapping[str, object],
    shape: tuple[int, int],
    sample: Sample,
    like: Path | None = None,
    in_use: Iterable[TensorStatistics] = (),
) -> LoadedPolicy:
    """Check a file, build its policy and try it: `check_file`, `load_checked`, `check_policy`.

    `sample` is given an instruction that the file knows, for a robot that has none yet: trying
    the weights then does not bring a language model in. They are tried with that one too where the
    robot's own needs a language model that this computer lacks.

    Raises:
        WeightsRefused: any of the checks.
    """
    check_file(path, manifest, robot=robot, like=like, in_use=in_use)
    policy = load_checked(path, manifest, load)
    known = known_instruction(path)
    check_policy(policy, manifest.version, sample(known), shape, known)
    return policy


def known_instruction(path: Path) -> str:
    """Return an instruction whose embedding the file carries, or an empty string."""
    try:
        known = json.loads(read_header(path).metadata.get(INSTRUCTIONS_KEY, '[]'))
    except json.JSONDecodeError:
        return ''
    return str(known[0]) if isinstance(known, list) and known else ''


def _configuration(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(metadata.get(CONFIG_KEY, '{}'))
    except json.JSONDecodeError:
        return {}
    return config if isinstance(config, dict) else {}


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
