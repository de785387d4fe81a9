"""The difference of a safetensors file from its parent's: only what changed travels.

Online RL changes the action expert alone, so most of a file is on the robot already. A difference is
``<8-byte length><JSON head><changed bytes>``; the head lists the spans of the child's file in order,
each either bytes of the parent's file or the next bytes of the body. It needs no signature of its
own: what a robot puts together from it must have the size and the sha256 of the signed manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.tensors import read_header

BLOCK_BYTES = 4 << 20
HEAD_LIMIT_BYTES = 16 << 20

Span = tuple[int, int]
"""(offset in the parent's file, or -1 for the next bytes of the body; number of bytes)."""


def write_delta(parent: Path, child: Path, delta: Path) -> int:
    """Write the difference of `child` from `parent`; return its size in bytes, flushed to disk.

    Raises:
        WeightsRefused: a file is not safetensors (kind MALFORMED).
    """
    spans = list(_spans(parent, child))
    size = child.stat().st_size
    head = json.dumps({'size': size, 'spans': spans}, separators=(',', ':')).encode('ascii')
    with delta.open('wb') as out, child.open('rb') as source:
        out.write(len(head).to_bytes(8, 'little') + head)
        for begin, length in spans:
            if begin < 0:
                _copy(source, out, length)
            else:
                source.seek(length, os.SEEK_CUR)
        out.flush()
        os.fsync(out.fileno())
        return out.tell()


def apply_delta(parent: Path, delta: Path, out: Path, size_bytes: int) -> None:
    """Put the child's file together from its parent's and the difference.

    Args:
        parent: file of the parent version, as the learner has it.
        delta: what `write_delta` wrote; not trusted.
        out: file to write; nothing is left of it after an error.
        size_bytes: signed size of the child's file: never more is written.

    Raises:
        WeightsRefused: the difference is malformed or does not belong to this parent.
    """
    try:
        with parent.open('rb') as old, delta.open('rb') as new, out.open('wb') as file:
            for begin, length in _read_head(new, parent.stat().st_size, size_bytes):
                if begin >= 0:
                    old.seek(begin)
                _copy(old if begin >= 0 else new, file, length)
            if file.tell() != size_bytes:
                raise _malformed(f'makes {file.tell()} bytes, not {size_bytes}')
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _spans(parent: Path, child: Path) -> Iterator[Span]:
    """Cover the child's file, front to back; neighbouring changed spans are one."""
    old, new = read_header(parent), read_header(child)
    ours = np.memmap(parent, dtype=np.uint8, mode='r')
    theirs = np.memmap(child, dtype=np.uint8, mode='r')
    at = 0
    for name, tensor in sorted(new.tensors.items(), key=lambda item: item[1].begin):
        same = old.tensors.get(name)
        length = tensor.end - tensor.begin
        if same is None or same.end - same.begin != length or tensor.begin < at:
            continue
        if not _equal(ours, same.begin, theirs, tensor.begin, length):
            continue
        changed = tensor.begin - at
        if changed:
            yield -1, changed
        yield same.begin, length
        at = tensor.end
    if len(theirs) > at:
        yield -1, len(theirs) - at


def _equal(ours: Any, begin: int, theirs: Any, other: int, length: int) -> bool:
    return all(
        np.array_equal(
            ours[begin + at : begin + min(at + BLOCK_BYTES, length)],
            theirs[other + at : other + min(at + BLOCK_BYTES, length)],
        )
        for at in range(0, length, BLOCK_BYTES)
    )


def _read_head(file: BinaryIO, parent_bytes: int, size_bytes: int) -> list[Span]:
    length = int.from_bytes(file.read(8), 'little')
    if not 2 <= length <= HEAD_LIMIT_BYTES:
        raise _malformed(f'a head of {length} bytes')
    try:
        head: Any = json.loads(file.read(length))
        spans = [(int(begin), int(count)) for begin, count in head['spans']]
    except (UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise _malformed(f'its head cannot be read ({error})') from error
    for begin, count in spans:
        if count < 0 or begin < -1 or (begin >= 0 and begin + count > parent_bytes):
            raise _malformed(f'span {begin}+{count} is not in the parent of {parent_bytes} bytes')
    if sum(count for _, count in spans) != size_bytes:
        raise _malformed(f'its spans do not make {size_bytes} bytes')
    return spans


def _copy(source: BinaryIO, out: BinaryIO, length: int) -> None:
    while length:
        piece = source.read(min(BLOCK_BYTES, length))
        if not piece:
            raise _malformed(f'{length} bytes are missing')
        out.write(piece)
        length -= len(piece)


def _malformed(detail: str) -> WeightsRefused:
    return WeightsRefused(Refusal.MALFORMED, f'difference from the parent: {detail}')
