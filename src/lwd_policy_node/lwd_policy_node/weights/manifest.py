"""The signed description of one published policy: what `/lwd/weights` announces.

The signature covers the canonical JSON of every field but itself: keys sorted, no spaces, ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lwd_policy_node.weights import keys
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.statistics import TensorStatistics

DELTA_SUFFIX = '.delta'  # of the URI of the difference from the parent's file


@dataclass(frozen=True, slots=True)
class Manifest:
    """One published policy; field by field the message lwd_msgs/WeightsManifest."""

    published_ns: int  # wall clock of the learner, ns since the epoch
    version: int  # counts up by one per publication, from 1
    parent: int  # version it was trained from; 0 = none
    stage: str  # sft, offline, online
    step: int  # learner step
    config_hash: str  # sha256 (hex) of the policy's configuration
    replay_version: str  # "offline@N online@M amendments@K"
    size_bytes: int  # of the safetensors file
    sha256: str  # of the file, hex
    tensors: tuple[TensorStatistics, ...] = ()  # of every floating-point tensor
    delta_bytes: int = 0  # size of the difference from the parent's file; 0 = none
    uris: tuple[str, ...] = ()  # where the file can be had besides the service, best first
    robots: tuple[str, ...] = ()  # only these may take it (a canary); empty: all
    floor: int = 0  # robots that see this take no version below it any more; 0 = none
    key_id: str = ''  # of the signing key
    signature: bytes = b''  # Ed25519, 64 bytes

    def concerns(self, robot_id: str) -> bool:
        """Whether this robot may take it."""
        return not self.robots or robot_id in self.robots

    def makes_needless(self, other: Manifest) -> bool:
        """Whether a robot that holds this one need not look at `other`.

        A learner announces again after a restart; and while a robot tries a version out, what it
        hears besides is the older one of all the others.
        """
        same = (self.version, self.sha256) == (other.version, other.sha256)
        return same or (bool(self.robots) and other.version < self.version)

    def canonical(self) -> bytes:
        """Return the bytes that are signed."""
        body = asdict(self)
        del body['signature']
        return json.dumps(body, sort_keys=True, separators=(',', ':')).encode('ascii')

    def signed(self, key: Ed25519PrivateKey) -> Manifest:
        """Return a copy signed by `key`."""
        named = replace(self, key_id=keys.key_id(key.public_key()), signature=b'')
        return replace(named, signature=keys.sign(key, named.canonical()))

    def verify(self, trusted: Mapping[str, Ed25519PublicKey], where: str = 'the key path') -> None:
        """Check the signature against the trusted keys; `where` names their place in the text.

        Raises:
            WeightsRefused: no trusted key, unknown key, bad signature.
        """
        if not trusted:
            raise WeightsRefused(
                Refusal.NO_TRUSTED_KEY,
                f'no .pub file at {where}: make a pair with `ros2 run lwd_learner keys --dir DIR` '
                f'on the learner and copy learner.pub to this robot',
            )
        if self.key_id not in trusted:
            raise WeightsRefused(
                Refusal.UNKNOWN_KEY,
                f'version {self.version} is signed by key {self.key_id or "(none)"}; trusted at '
                f"{where}: {', '.join(sorted(trusted))}. Copy that learner's .pub file there if "
                f'it is to be trusted',
            )
        if not keys.verify(trusted, self.key_id, self.signature, self.canonical()):
            raise WeightsRefused(
                Refusal.BAD_SIGNATURE,
                f'version {self.version}: the signature of key {self.key_id} does not fit the '
                f'manifest; it was changed after signing',
            )

    def to_json(self) -> str:
        """Return the manifest as indented JSON, the signature in hex."""
        body = asdict(self) | {'signature': self.signature.hex()}
        return json.dumps(body, indent=2, sort_keys=True) + '\n'

    @classmethod
    def from_json(cls, text: str, origin: str = 'manifest') -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            ValueError: not JSON, or a field is missing, unknown or of the wrong type.
        """
        try:
            body: Any = json.loads(text)
            body['signature'] = bytes.fromhex(body['signature'])
            body['tensors'] = tuple(TensorStatistics(**entry) for entry in body['tensors'])
            for name in ('uris', 'robots'):
                body[name] = tuple(str(entry) for entry in body[name])
            manifest = cls(**body)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{origin}: not a weights manifest: {error}') from error
        for field in fields(cls):
            value = getattr(manifest, field.name)
            if type(value).__name__ != str(field.type).partition('[')[0]:
                raise ValueError(f'{origin}: {field.name} is {value!r}, expected {field.type}')
        return manifest

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest file.

        Raises:
            ValueError: it does not hold a manifest.
            OSError: it cannot be read.
        """
        return cls.from_json(path.read_text(), str(path))
