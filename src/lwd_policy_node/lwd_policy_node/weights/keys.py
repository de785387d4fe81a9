"""Ed25519 keys: the learner signs manifests with the private one, robots trust the public one.

Files are PEM, readable by openssl: ``<name>.ed25519`` (PKCS8, mode 0600) and ``<name>.pub``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE_SUFFIX = '.ed25519'
PUBLIC_SUFFIX = '.pub'
DEFAULT_NAME = 'learner'


class KeyFileError(ValueError):
    """A key file is missing or of another kind; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a pair lies, and its id."""

    private_path: Path
    public_path: Path
    key_id: str
    created: bool  # False: it was there already


def key_id(public_key: Ed25519PublicKey) -> str:
    """Return the first 16 hex digits of sha256 over the 32 raw bytes of the public key."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]


def ensure_key_pair(folder: Path, name: str = DEFAULT_NAME) -> KeyPair:
    """Create ``folder/name.ed25519`` (0600) and ``folder/name.pub``, or return the pair there.

    A private key is never overwritten; a missing public file is written again from it.

    Raises:
        KeyFileError: a public key without its private key, or a pair that does not match.
    """
    folder.mkdir(parents=True, exist_ok=True)
    private_path = folder / f'{name}{PRIVATE_SUFFIX}'
    public_path = folder / f'{name}{PUBLIC_SUFFIX}'
    created = not private_path.exists()
    if created:
        if public_path.exists():
            raise KeyFileError(
                f'{public_path} exists without {private_path.name}: put the private key back, or '
                f'move the public one away to make a new pair'
            )
        _write_private(private_path, Ed25519PrivateKey.generate())
    public_key = load_private_key(private_path).public_key()
    if not public_path.exists():
        public_path.write_bytes(
            public_key.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    found = key_id(load_public_key(public_path))
    if found != key_id(public_key):
        raise KeyFileError(
            f'{public_path} (key {found}) is not the public half of {private_path} '
            f'(key {key_id(public_key)}): remove the .pub file to have it written again'
        )
    return KeyPair(private_path, public_path, found, created)


def _write_private(path: Path, key: Ed25519PrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, 'wb') as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        KeyFileError: missing, readable by others, or not an Ed25519 private key.
    """
    if not path.is_file():
        raise KeyFileError(
            f'no private key at {path}: run `ros2 run lwd_learner keys --dir {path.parent}`'
        )
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeyFileError(f'{path} is open to others (mode {mode:04o}): run `chmod 600 {path}`')
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f'{path} is not a PEM private key: {error}') from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f'{path} holds a {type(key).__name__}, not an Ed25519 private key')
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        KeyFileError: missing, or not an Ed25519 public key.
    """
    if not path.is_file():
        raise KeyFileError(f"no public key at {path}: copy the learner's .pub file there")
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f'{path} is not a PEM public key: {error}') from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f'{path} holds a {type(key).__name__}, not an Ed25519 public key')
    return key


def load_trusted_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    """Read one ``.pub`` file, or all of a folder: ``{key_id: key}``, empty when none is there.

    Raises:
        KeyFileError: a file is there but is not an Ed25519 public key.
    """
    if path.is_dir():
        files = sorted(path.glob(f'*{PUBLIC_SUFFIX}'))
    else:
        files = [path] if path.is_file() else []
    keys = [load_public_key(file) for file in files]
    return {key_id(key): key for key in keys}


def sign(key: Ed25519PrivateKey, message: bytes) -> bytes:
    """Return the 64-byte Ed25519 signature of `message`."""
    return key.sign(message)


def verify(
    trusted: Mapping[str, Ed25519PublicKey], signer: str, signature: bytes, message: bytes
) -> bool:
    """Whether `signature` over `message` is that of the trusted key `signer` (a key id)."""
    key = trusted.get(signer)
    if key is None:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
