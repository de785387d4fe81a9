"""Bring a file from its URI to this robot's disk: file://, http(s):// or s3://; a cut pull is resumed.

A URI stands in a signed manifest, so a robot only goes where its learner sends it. What comes is
checked like everything else: by size while it comes, by hash once it is there.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lwd_policy_node.weights.refusal import Refusal, WeightsRefused

BLOCK_BYTES = 4 << 20
RETRIES = 5  # in a row without one new byte, before the next way is tried
PAUSE_S = 0.2  # before the first retry; doubles
SILENCE_S = 10.0  # without a byte, before a connection counts as cut
PARTIAL = 206
Blocks = Generator[bytes, None, None]
_CUT = (OSError, http.client.HTTPException)


class NotThere(Exception):
    """The URI does not serve this file; another way may."""


def pull_by_uri(uri: str, part: Path, total: int, checkpoint: Callable[[], None]) -> float:
    """Append to `part` what it lacks of the file at `uri`; return the seconds it took.

    Args:
        uri: file://, http://, https:// or s3://bucket/key.
        part: file to append to.
        total: signed size of the whole, bytes: never more is written.
        checkpoint: called between blocks; may raise `Superseded`.

    Raises:
        NotThere: the URI does not serve it; what has come stays in `part`.
        WeightsRefused: it serves more than `total` bytes.
        OSError: `part` cannot be written.
    """
    began = time.monotonic()
    failures = 0
    while (held := _size(part)) < total:
        checkpoint()
        try:
            _append(uri, part, held, total, checkpoint)
        except NotThere:
            raise
        except _Cut as cut:
            failures = 0 if _size(part) > held else failures + 1
            if failures >= RETRIES:
                raise NotThere(f'{uri}: {cut}') from cut
            time.sleep(PAUSE_S * 2 ** max(failures - 1, 0))
    if _size(part) > total:
        raise WeightsRefused(Refusal.WRONG_SIZE, f'{uri} has more than the signed {total} bytes')
    return time.monotonic() - began


class _Cut(Exception):
    """The connection ended early."""


def _append(uri: str, part: Path, held: int, total: int, checkpoint: Callable[[], None]) -> None:
    scheme = urlsplit(uri).scheme
    if scheme not in _OPENERS:
        raise NotThere(f'{uri}: not file://, http(s):// or s3://')
    offset, blocks = _OPENERS[scheme](uri, held)
    with closing(blocks), part.open('r+b' if held else 'wb') as file:
        file.truncate(offset)
        file.seek(offset)
        while file.tell() < total:
            checkpoint()
            try:
                block = next(blocks, b'')
            except _CUT as error:
                raise _Cut(f'{type(error).__name__}: {error}') from error
            if not block:
                raise _Cut(f'ended after {file.tell()} of {total} bytes')
            file.write(block)


def _open_file(uri: str, offset: int) -> tuple[int, Blocks]:
    path = Path(unquote(urlsplit(uri).path))
    if not path.is_file():
        raise NotThere(f'{uri}: no such file on this robot')

    def blocks() -> Blocks:
        with path.open('rb') as file:
            file.seek(offset)
            while block := file.read(BLOCK_BYTES):
                yield block

    return offset, blocks()


def _open_http(uri: str, offset: int) -> tuple[int, Blocks]:
    request = urllib.request.Request(uri, headers={'Range': f'bytes={offset}-'} if offset else {})
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (429, 503):  # busy with other robots
            raise _Cut(f'HTTP {error.code}') from error
        raise NotThere(f'{uri}: HTTP {error.code}') from error
    except _CUT as error:
        raise _Cut(str(error)) from error
    resumed = answer.status == PARTIAL
    return offset if resumed else 0, _read(answer)


def _open_s3(uri: str, offset: int) -> tuple[int, Blocks]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise NotThere(f'{uri}: boto3 is not installed on this robot') from error
    address = urlsplit(uri)
    try:
        client = _s3_client(os.environ.get('AWS_ENDPOINT_URL', ''))
        answer = client.get_object(
            Bucket=address.netloc, Key=address.path.lstrip('/'), Range=f'bytes={offset}-'
        )
    except ClientError as error:
        raise NotThere(f'{uri}: {error}') from error
    except (BotoCoreError, OSError) as error:
        raise _Cut(str(error)) from error

    def blocks() -> Blocks:
        body = answer['Body']
        try:
            yield from body.iter_chunks(BLOCK_BYTES)
        except BotoCoreError as error:
            raise OSError(str(error)) from error
        finally:
            body.close()

    return offset, blocks()


@lru_cache(maxsize=2)
def _s3_client(endpoint: str) -> Any:
    """Made once: boto3 computes for tenths of a second, in which no other thread of Python runs."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=SILENCE_S,
        retries={'max_attempts': 2, 'mode': 'standard'},
        s3={'addressing_style': 'path' if endpoint else 'auto'},
    )
    return boto3.session.Session().client('s3', endpoint_url=endpoint or None, config=config)


def _read(answer: Any) -> Blocks:
    with answer:
        while block := answer.read(BLOCK_BYTES):
            yield block


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


_OPENERS = {'file': _open_file, 'http': _open_http, 'https': _open_http, 's3': _open_s3}
