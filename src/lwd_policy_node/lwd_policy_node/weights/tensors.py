"""Look into a safetensors file without a tensor library: header and shapes.

Robots check a file with this before anything is built from it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwd_policy_node.weights.refusal import Refusal, WeightsRefused

GROWING = 'text.'  # tensors that grow with the instructions met: their shape may change
HEADER_LIMIT_BYTES = 100_000_000  # the format's own limit

ITEM_BYTES = {
    'F64': 8,
    'F32': 4,
    'F16': 2,
    'BF16': 2,
    'I64': 8,
    'I32': 4,
    'I16': 2,
    'I8': 1,
    'U64': 8,
    'U32': 4,
    'U16': 2,
    'U8': 1,
    'BOOL': 1,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's place in the file."""

    dtype: str  # F32, BF16, ...
    shape: tuple[int, ...]
    begin: int  # byte offsets in the file
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a safetensors file says."""

    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def read_header(path: Path) -> Header:
    """Read and check the head of a safetensors file.

    Raises:
        WeightsRefused: the file is not well-formed safetensors (kind MALFORMED).
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        if size < 8 or not 2 <= length <= min(size - 8, HEADER_LIMIT_BYTES):
            raise _malformed(path, f'header length {length} in a file of {size} bytes')
        text = file.read(length)
    try:
        raw: Any = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _malformed(path, f'the header is not JSON ({error})') from error
    if not isinstance(raw, dict):
        raise _malformed(path, 'the header is not a JSON object')
    metadata = raw.pop('__metadata__', {})
    try:
        tensors = {name: _tensor(name, entry, 8 + length, size) for name, entry in raw.items()}
        metadata = {str(key): str(value) for key, value in metadata.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _malformed(path, str(error)) from error
    return Header(metadata, tensors)


def _tensor(name: str, entry: Any, start: int, size: int) -> Tensor:
    shape = tuple(int(extent) for extent in entry['shape'])
    begin, end = (start + int(offset) for offset in entry['data_offsets'])
    dtype = str(entry['dtype'])
    if dtype not in ITEM_BYTES:
        raise ValueError(f'tensor {name}: dtype {dtype} is not one of {", ".join(ITEM_BYTES)}')
    wanted = math.prod(shape) * ITEM_BYTES[dtype]
    if min(shape, default=0) < 0 or not start <= begin <= end <= size or end - begin != wanted:
        raise ValueError(f'tensor {name}: {dtype}{list(shape)} does not fit its place in the file')
    return Tensor(dtype, shape, begin, end)


def _malformed(path: Path, detail: str) -> WeightsRefused:
    return WeightsRefused(Refusal.MALFORMED, f'{path.name}: {detail}')


def check_shapes(header: Header, like: Header) -> None:
    """Refuse a file whose tensors differ in name or shape from those of `like`.

    Raises:
        WeightsRefused: kind SHAPE_MISMATCH.
    """
    ours = {name: tensor.shape for name, tensor in header.tensors.items()}
    theirs = {name: tensor.shape for name, tensor in like.tensors.items()}
    for name in sorted(ours.keys() | theirs.keys()):
        if not name.startswith(GROWING) and ours.get(name) != theirs.get(name):
            raise WeightsRefused(
                Refusal.SHAPE_MISMATCH,
                f'tensor {name}: {_shape(ours.get(name))} here, {_shape(theirs.get(name))} in '
                f'the weights in use',
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return 'missing' if shape is None else str(list(shape))
