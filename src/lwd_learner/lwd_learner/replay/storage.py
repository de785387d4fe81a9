"""Lance data sets by address: folders, and buckets of S3 and what speaks like it, as AWS_* in the environment says."""

from __future__ import annotations

import os
from typing import Any

import lance
import pyarrow as pa

from lwd_learner.replay.layout import ReplayError


def storage_options(uri: str) -> dict[str, str] | None:
    """What Lance must be told of an object store; credentials it takes from the environment or the machine's role."""
    endpoint = os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL')
    if not uri.startswith('s3://') or not endpoint:
        return None
    return {
        'endpoint': endpoint,
        'allow_http': str(endpoint.startswith('http://')).lower(),
        'virtual_hosted_style_request': 'false',
        'region': os.environ.get('AWS_DEFAULT_REGION', 'us-east-1'),
    }


def open_dataset(uri: str, version: int | None = None) -> Any:
    """The Lance data set at `uri`, pinned to a version or the newest.

    Raises:
        ValueError: there is none.
    """
    return lance.dataset(uri, version=version, storage_options=storage_options(uri))


def dataset_exists(uri: str) -> bool:
    """Whether a Lance data set can be opened at `uri`.

    Raises:
        ReplayError: something is there that cannot be opened.
    """
    try:
        open_dataset(uri)
    except ValueError as error:
        if 'not found' in str(error).lower():
            return False
        raise ReplayError(f'{uri}: {error}') from error
    return True


def write_dataset(data: pa.Table | pa.RecordBatchReader, uri: str, mode: str) -> Any:
    """Commit rows; `mode` is create, append or overwrite."""
    return lance.write_dataset(data, uri, mode=mode, storage_options=storage_options(uri))
