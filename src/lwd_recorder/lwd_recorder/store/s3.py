"""A store in an S3 bucket: AWS, SeaweedFS, MinIO, Ceph.

The server is told the sha256 of every object and refuses bytes that differ. Where it keeps that checksum, verification
asks for it; where it does not, the object is read back.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lwd_recorder.durable import fsync_folder, sha256_of, temporary_name
from lwd_recorder.store.base import IntegrityError, StoredObject, StoreError, check_key

MAX_PUT_BYTES = 5 << 30
_BLOCK = 1 << 20
_MISSING = frozenset({'404', 'NoSuchKey', 'NotFound'})


class S3Store:
    """Keys are object names below a prefix of one bucket. A put is atomic by S3's own promise."""

    def __init__(self, bucket: str, prefix: str = '', client: Any = None) -> None:
        """Open a bucket; nothing is sent yet.

        Args:
            bucket: its name.
            prefix: put before every key, without slashes at its ends.
            client: a boto3 S3 client; made from the environment when None.

        Raises:
            StoreError: no bucket is named, or the client cannot be made.
        """
        if not bucket:
            raise StoreError('no bucket in the address; write s3://bucket/prefix')
        self.bucket = bucket
        self.prefix = f'{check_key(prefix)}/' if prefix else ''
        self.uri = f's3://{bucket}/{prefix}'.rstrip('/')
        self._client = client if client is not None else self._make_client()

    def put_file(self, path: Path, key: str, sha256: str) -> None:
        """Upload a file in one request that the server verifies; see `Store.put_file`."""
        size = path.stat().st_size if path.is_file() else -1
        if size < 0:
            raise StoreError(f'{path}: no such file')
        if size > MAX_PUT_BYTES:
            raise StoreError(f'{path}: {size} bytes; one S3 request takes {MAX_PUT_BYTES}')
        if sha256_of(path) != sha256:
            raise IntegrityError(f'{path}: its sha256 is not {sha256}; not stored')
        with path.open('rb') as body, self._named(key):
            self._put(key, body, bytes.fromhex(sha256))

    def put_bytes(self, data: bytes, key: str) -> None:
        """Upload a small object; see `Store.put_bytes`."""
        with self._named(key):
            self._put(key, data, hashlib.sha256(data).digest())

    def get_file(self, key: str, path: Path) -> None:
        """Download an object; see `Store.get_file`."""
        temporary = temporary_name(path)
        try:
            with self._named(key), temporary.open('xb') as file:
                for block in self._get(key).iter_chunks(_BLOCK):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_folder(path.parent)

    def read_bytes(self, key: str) -> bytes:
        """Download a small object; see `Store.read_bytes`."""
        with self._named(key):
            return bytes(self._get(key).read())

    def list(self, prefix: str = '') -> Iterator[StoredObject]:
        """Yield the objects under a prefix; see `Store.list`."""
        pages = self._client.get_paginator('list_objects_v2')
        with self._named(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for entry in page.get('Contents', []):
                    key = entry['Key'][len(self.prefix) :]
                    yield StoredObject(key, int(entry['Size']), entry['LastModified'].timestamp())

    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""
        return self._head(key) is not None

    def matches(self, key: str, size_bytes: int, sha256: str) -> bool:
        """Compare with the server's checksum, or with the bytes themselves; see `Store.matches`."""
        head = self._head(key)
        if head is None or int(head['ContentLength']) != size_bytes:
            return False
        stored = head.get('ChecksumSHA256')
        if stored is not None:
            return bool(base64.b64decode(stored).hex() == sha256)
        digest = hashlib.sha256()
        with self._named(key):
            for block in self._get(key).iter_chunks(_BLOCK):
                digest.update(block)
        return digest.hexdigest() == sha256

    def move(self, key: str, new_key: str) -> None:
        """Copy on the server, then delete; see `Store.move`."""
        source = {'Bucket': self.bucket, 'Key': self._name(key)}
        with self._named(key):
            self._client.copy_object(
                Bucket=self.bucket, Key=self._name(new_key), CopySource=source
            )
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def _make_client(self) -> Any:
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={'max_attempts': 3, 'mode': 'standard'},
            s3={'addressing_style': 'path' if os.environ.get('AWS_ENDPOINT_URL') else 'auto'},
        )
        try:
            return boto3.session.Session().client('s3', config=config)
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f'{self.uri}: {error}') from error

    def _put(self, key: str, body: Any, digest: bytes) -> None:
        self._client.put_object(
            Bucket=self.bucket,
            Key=self._name(key),
            Body=body,
            ChecksumSHA256=base64.b64encode(digest).decode(),
        )

    def _get(self, key: str) -> Any:
        return self._client.get_object(Bucket=self.bucket, Key=self._name(key))['Body']

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            with self._named(key):
                return dict(
                    self._client.head_object(
                        Bucket=self.bucket, Key=self._name(key), ChecksumMode='ENABLED'
                    )
                )
        except _NoSuchObjectError:
            return None

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Turn the client's errors into StoreErrors that name the object."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get('Error', {}).get('Code', ''))
            kind = _NoSuchObjectError if code in _MISSING else StoreError
            raise kind(f'{self.uri}/{key}: {error}') from error
        except (BotoCoreError, OSError) as error:
            raise StoreError(f'{self.uri}/{key}: {error}') from error


class _NoSuchObjectError(StoreError):
    """There is no object under the key."""
