"""Stores of episodes: a folder or S3, behind one protocol."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from lwd_recorder.store.base import (
    ExistsError,
    IntegrityError,
    Store,
    StoredObject,
    StoreError,
    StoreOptions,
)
from lwd_recorder.store.folder import FolderStore

__all__ = [
    'ExistsError',
    'FolderStore',
    'IntegrityError',
    'Store',
    'StoreError',
    'StoreOptions',
    'StoredObject',
    'open_store',
]


def open_store(uri: str | Path, options: StoreOptions | None = None) -> Store:
    """Open a store by its address.

    Args:
        uri: a folder (`/data/store`, `~/store`, `file:///data/store`) or `s3://bucket/prefix`. For S3 the
            endpoint comes from AWS_ENDPOINT_URL and the credentials from the standard AWS chain.
        options: sizes, cap and time-outs; see StoreOptions.

    Raises:
        StoreError: the address is neither, or names no bucket.
    """
    if isinstance(uri, Path):
        return FolderStore(uri, options)
    parts = urlsplit(uri)
    if parts.scheme == 's3':
        from lwd_recorder.store.s3 import (
            S3Store,  # boto3 takes half a second to import: only those who need it pay
        )

        return S3Store(parts.netloc, parts.path.strip('/'), options=options)
    if parts.scheme == 'file':
        if parts.netloc not in {'', 'localhost'}:
            raise StoreError(
                f'{uri!r} names the host {parts.netloc!r}; write file:///path for a local folder'
            )
        return FolderStore(Path(unquote(parts.path)), options)
    if parts.scheme:
        raise StoreError(
            f'{uri!r} is not a store; write a folder, file:///path or s3://bucket/prefix'
        )
    if not uri:
        raise StoreError('the store is empty; write a folder, file:///path or s3://bucket/prefix')
    return FolderStore(Path(uri), options)
