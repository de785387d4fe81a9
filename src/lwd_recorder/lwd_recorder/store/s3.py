"""A store in an S3 bucket: AWS, SeaweedFS, MinIO, Ceph.

The server is told the sha256 of every object and of every part, and refuses bytes that differ; what it has stored is
compared with what was sent by the checksum that it keeps. Where it keeps none, the object is read back.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from lwd_recorder.durable import fsync_folder, temporary_name
from lwd_recorder.store.base import (
    ExistsError,
    IntegrityError,
    OnBytes,
    StoredObject,
    StoreError,
    StoreOptions,
    UploadLog,
    check_key,
)
from lwd_recorder.store.multipart import MultipartUpload
from lwd_recorder.store.parts import FileParts, part_size
from lwd_recorder.store.rate import LimitedBody, RateLimit
from lwd_recorder.store.server_clock import SIGNATURE, follow_server

PART_BYTES = 'part-bytes'
"""Metadata of an object that was sent in parts: their size, to compare a checksum of parts."""
_BLOCK = 1 << 20
_COPY = TransferConfig(multipart_threshold=5 << 30, multipart_chunksize=1 << 30, use_threads=False)
"""S3 copies no more than 5 GiB in one request."""
_MISSING = frozenset({'404', 'NoSuchKey', 'NotFound', 'NoSuchUpload'})
_FORBIDDEN = frozenset({'403', 'AccessDenied', 'Forbidden'})
_TAKEN = frozenset({'412', 'PreconditionFailed', '409', 'ConditionalRequestConflict'})


class S3Store:
    """Keys are object names below a prefix of one bucket. A put is atomic by S3's own promise."""

    def __init__(
        self,
        bucket: str,
        prefix: str = '',
        client: Any = None,
        options: StoreOptions | None = None,
    ) -> None:
        """Open a bucket; nothing is sent yet.

        Args:
            bucket: its name.
            prefix: put before every key, without slashes at its ends.
            client: a boto3 S3 client; made from the environment when None.
            options: see StoreOptions.

        Raises:
            StoreError: no bucket is named, or the client cannot be made.
        """
        if not bucket:
            raise StoreError('no bucket in the address; write s3://bucket/prefix')
        self.bucket = bucket
        self.prefix = f'{check_key(prefix)}/' if prefix else ''
        self.uri = f's3://{bucket}/{prefix}'.rstrip('/')
        self._options = options or StoreOptions()
        self._limit = RateLimit(self._options.max_bytes_per_s)
        self._client = client if client is not None else self._make_client()

    def put_file(
        self,
        path: Path,
        key: str,
        sha256: str,
        log: UploadLog | None = None,
        on_bytes: OnBytes | None = None,
    ) -> int:
        """Upload a file, in parts when it is large; see `Store.put_file`."""
        if not path.is_file():
            raise StoreError(f'{path}: no such file')
        size = path.stat().st_size
        with self._named(key):
            if size > self._options.part_bytes:
                return self._put_parts(path, key, sha256, size, log, on_bytes)
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise IntegrityError(f'{path}: its sha256 is not {sha256}; not stored')
            self._put(key, data, replace=False)
        if not self.matches(key, size, sha256):
            raise StoreError(f'{self.uri}/{key} does not read back as it was sent')
        if on_bytes is not None:
            on_bytes(size)
        return size

    def put_bytes(self, data: bytes, key: str, *, replace: bool = True) -> None:
        """Upload a small object; see `Store.put_bytes`."""
        with self._named(key):
            self._put(key, data, replace=replace)

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

    def list(self, prefix: str = '', after: str = '') -> Iterator[StoredObject]:
        """Yield the objects under a prefix; see `Store.list`."""
        pages = self._client.get_paginator('list_objects_v2')
        since = {'StartAfter': self.prefix + after} if after else {}
        with self._named(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix, **since):
                for entry in page.get('Contents', []):
                    key = entry['Key'][len(self.prefix) :]
                    yield StoredObject(key, int(entry['Size']), entry['LastModified'].timestamp())

    def folders(self, prefix: str = '') -> Iterator[str]:
        """Yield the common prefixes; see `Store.folders`."""
        pages = self._client.get_paginator('list_objects_v2')
        below = self.prefix + prefix
        with self._named(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=below, Delimiter='/'):
                for entry in page.get('CommonPrefixes', []):
                    yield entry['Prefix'][len(below) : -1]

    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key.

        Without the right to list a bucket, AWS answers 403 for a key that is not there: that, too, is no object. Where
        it hides one that is there, a put under its key is refused, for keys are immutable.
        """
        try:
            return self._head(key) is not None
        except _ForbiddenError:
            return False

    def matches(self, key: str, size_bytes: int, sha256: str, path: Path | None = None) -> bool:
        """Compare with the server's checksum, or with the bytes themselves; see `Store.matches`."""
        head = self._head(key)
        if head is None or int(head['ContentLength']) != size_bytes:
            return False
        stored = str(head.get('ChecksumSHA256', ''))
        if stored and '-' not in stored:
            return base64.b64decode(stored).hex() == sha256
        part_bytes = str(head.get('Metadata', {}).get(PART_BYTES, ''))
        if stored and path is not None and part_bytes.isdigit() and int(part_bytes) > 0:
            parts = FileParts(path, int(part_bytes))
            for _ in parts:
                pass
            if parts.sha256 == sha256 and parts.checksum == stored:
                return True
        digest = hashlib.sha256()
        with self._named(key):
            for block in self._get(key).iter_chunks(_BLOCK):
                digest.update(block)
        return digest.hexdigest() == sha256

    def move(self, key: str, new_key: str) -> None:
        """Copy on the server, in parts where it is too large for one request, then delete; see `Store.move`."""
        source = {'Bucket': self.bucket, 'Key': self._name(key)}
        with self._named(key):
            self._client.copy(source, self.bucket, self._name(new_key), Config=_COPY)
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def _put_parts(
        self,
        path: Path,
        key: str,
        sha256: str,
        size: int,
        log: UploadLog | None,
        on_bytes: OnBytes | None,
    ) -> int:
        name = f'{self.uri}/{key}'
        upload = MultipartUpload(self._client, self.bucket, self._name(key), self._body)
        remembered = None if log is None else log.upload(name)
        if remembered is None or not upload.resume(*remembered):
            part_bytes = part_size(size, self._options.part_bytes)
            upload.begin(part_bytes, {PART_BYTES: str(part_bytes)})
            if log is not None:
                log.keep_upload(name, upload.upload_id, part_bytes)
        parts = FileParts(path, upload.part_bytes)
        for part in parts:
            upload.send(part)
            if on_bytes is not None:
                on_bytes(len(part.data))
        if parts.sha256 != sha256:
            upload.abort()
            if log is not None:
                log.drop_upload(name)
            raise IntegrityError(f'{path}: its sha256 is {parts.sha256}, expected {sha256}')
        try:
            upload.complete()
        except ClientError as error:
            if (
                log is not None and _code(error) in _MISSING | _TAKEN
            ):  # it was completed, or is of no use
                log.drop_upload(name)
            raise
        if log is not None:
            log.drop_upload(name)
        head = self._head(key)
        stored = None if head is None else head.get('ChecksumSHA256')
        if stored != parts.checksum and not self.matches(key, size, sha256):
            raise StoreError(f'{name} does not read back as it was sent')
        return upload.sent_bytes

    def _make_client(self) -> Any:
        config = Config(
            signature_version=SIGNATURE,
            connect_timeout=self._options.connect_timeout_s,
            read_timeout=self._options.read_timeout_s,
            retries={'max_attempts': 2, 'mode': 'standard'},
            request_checksum_calculation='when_required',
            s3={
                'addressing_style': 'path' if os.environ.get('AWS_ENDPOINT_URL') else 'auto',
                # the signed checksum header already binds the bytes: they are not hashed once more to be signed
                'payload_signing_enabled': False,
            },
        )
        try:
            client = boto3.session.Session(botocore_session=_session()).client('s3', config=config)
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f'{self.uri}: {error}') from error
        client.meta.events.register('before-send.s3', _arm)
        return client

    def _body(self, data: bytes) -> Any:
        if self._options.max_bytes_per_s <= 0:
            return data
        body = LimitedBody(data)
        body.limit = self._limit
        return body

    def _put(self, key: str, data: bytes, *, replace: bool) -> None:
        condition = {} if replace else {'IfNoneMatch': '*'}
        self._client.put_object(
            Bucket=self.bucket,
            Key=self._name(key),
            Body=self._body(data),
            ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
            **condition,
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
            code = _code(error)
            kind: type[StoreError] = StoreError
            if code in _MISSING:
                kind = _NoSuchObjectError
            elif code in _TAKEN:
                kind = ExistsError
            elif code in _FORBIDDEN:
                kind = _ForbiddenError
            elif code == 'RequestTimeTooSkewed':
                headers = error.response.get('ResponseMetadata', {}).get('HTTPHeaders', {})
                raise StoreError(f'{self.uri}/{key}: {error} {follow_server(headers)}') from error
            raise kind(f'{self.uri}/{key}: {error}') from error
        except (BotoCoreError, ResponseParserError, OSError) as error:
            raise StoreError(f'{self.uri}/{key}: {error}') from error


class _NoSuchObjectError(StoreError):
    """There is no object, or no upload, of that name."""


class _ForbiddenError(StoreError):
    """The robot has no right to it, or not even to know that it is not there."""


def _code(error: ClientError) -> str:
    return str(error.response.get('Error', {}).get('Code', ''))


def _session() -> botocore.session.Session:
    """Return a session that reads a listing's times fast: they are most of what a long listing costs to read."""
    session = botocore.session.get_session()
    session.get_component('response_parser_factory').set_parser_defaults(timestamp_parser=_time)
    return session


def _time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed: datetime = parse_timestamp(value)
        return parsed


def _arm(request: Any, **_: Any) -> None:
    """From here on the body goes over the wire."""
    if isinstance(request.body, LimitedBody):
        request.body.armed = True
