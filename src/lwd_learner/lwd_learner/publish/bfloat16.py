"""Half the bytes: a policy's matrices as bfloat16, without a tensor library.

A robot computes in float32 whatever the file holds. Vectors stay as they are: biases, and the scales and offsets that
turn the network's numbers into joint angles, for which bfloat16's 8 bits would be too coarse (0.004 rad at 1.5 rad). So
do the embeddings of instructions, which are data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from lwd_policy_node.weights.tensors import GROWING, Tensor, read_header

Precision = Literal['as_trained', 'bfloat16']
BLOCK_VALUES = 1 << 20


def write_bfloat16(source: Path, target: Path) -> None:
    """Write the safetensors file `source` again with float32 matrices rounded to bfloat16.

    Raises:
        WeightsRefused: `source` is not well-formed safetensors.
        OSError: a file cannot be read or written.
    """
    header = read_header(source)
    tensors = sorted(header.tensors.items(), key=lambda item: item[1].begin)
    entries: dict[str, Any] = {'__metadata__': header.metadata}
    at = 0
    for name, tensor in tensors:
        length = tensor.end - tensor.begin
        dtype, length = (
            ('BF16', length // 2) if _is_halved(name, tensor) else (tensor.dtype, length)
        )
        entries[name] = {
            'dtype': dtype,
            'shape': list(tensor.shape),
            'data_offsets': [at, at + length],
        }
        at += length
    head = json.dumps(entries, separators=(',', ':')).encode()
    head += b' ' * (-len(head) % 8)  # the format's alignment
    data: npt.NDArray[np.uint8] = np.memmap(source, dtype=np.uint8, mode='r')
    with target.open('wb') as file:
        file.write(len(head).to_bytes(8, 'little') + head)
        for name, tensor in tensors:
            for begin in range(tensor.begin, tensor.end, 4 * BLOCK_VALUES):
                block = data[begin : min(begin + 4 * BLOCK_VALUES, tensor.end)].tobytes()
                file.write(_rounded(block) if _is_halved(name, tensor) else block)


def _is_halved(name: str, tensor: Tensor) -> bool:
    return tensor.dtype == 'F32' and len(tensor.shape) >= 2 and not name.startswith(GROWING)


def _rounded(block: bytes) -> bytes:
    """Float32 to the nearest bfloat16, ties to even; what is not finite stays so."""
    bits = np.frombuffer(block, '<u4').astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    cut = (bits >> 16) | ((bits & 0xFFFF) != 0)  # of a NaN: its payload must not become zero
    special = (bits & 0x7F800000) == 0x7F800000
    return np.where(special, cut, nearest).astype('<u2').tobytes()
