"""What the tensors of a safetensors file hold: finite or not, how large. No tensor library.

The learner signs these figures, a robot computes them again from the bytes on its disk, and compares
them with those of the weights in use: a tensor that has grown a hundredfold is not taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.tensors import ITEM_BYTES, Header, Tensor

SCAN_VALUES = 1 << 18  # values looked at in one go: they stay in the processor's cache
TOLERANCE = 1e-3  # relative, between two machines' sums
GROWTH = 100.0  # times that a tensor's largest magnitude may grow from the weights in use
SMALL = 1.0  # magnitudes below this count as this much before the growth is judged


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """What one tensor holds."""

    name: str
    rms: float  # root of the mean square
    max_abs: float  # largest magnitude


def measure(path: Path, header: Header) -> tuple[TensorStatistics, ...]:
    """Return the statistics of every floating-point tensor, in the file's order.

    Not finite values show as rms and max_abs that are not finite.
    """
    data: npt.NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode='r')
    floating = [item for item in header.tensors.items() if item[1].dtype in _VIEWS]
    return tuple(_of_tensor(data, name, tensor) for name, tensor in floating)


def check_finite(path: Path, header: Header) -> tuple[TensorStatistics, ...]:
    """Refuse a file with a NaN or an infinity in it, naming the first such tensor; else measure it.

    Raises:
        WeightsRefused: kind NON_FINITE.
    """
    found = measure(path, header)
    for entry in found:
        if not (math.isfinite(entry.rms) and math.isfinite(entry.max_abs)):
            tensor = header.tensors[entry.name]
            raise WeightsRefused(
                Refusal.NON_FINITE,
                f'tensor {entry.name} ({tensor.dtype}{list(tensor.shape)}) holds NaN or infinite '
                f'values',
            )
    return found


def check_promised(
    found: Iterable[TensorStatistics], promised: Iterable[TensorStatistics]
) -> None:
    """Refuse tensors whose statistics are not those of the manifest.

    Raises:
        WeightsRefused: kind STATISTICS.
    """
    ours = {entry.name: entry for entry in found}
    theirs = {entry.name: entry for entry in promised}
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name), theirs.get(name)
        if here is None or there is None:
            where = 'the file' if here is None else 'the manifest'
            raise WeightsRefused(Refusal.STATISTICS, f'tensor {name} is missing in {where}')
        for what in ('rms', 'max_abs'):
            a, b = getattr(here, what), getattr(there, what)
            if not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-12):
                raise WeightsRefused(
                    Refusal.STATISTICS,
                    f'tensor {name}: {what} {a:.6g} in the file, {b:.6g} in the manifest',
                )


def check_growth(found: Iterable[TensorStatistics], in_use: Iterable[TensorStatistics]) -> None:
    """Refuse tensors that are out of all proportion to those of the weights in use.

    Raises:
        WeightsRefused: kind STATISTICS.
    """
    before = {entry.name: entry.max_abs for entry in in_use}
    for entry in found:
        limit = GROWTH * max(before.get(entry.name, math.inf), SMALL)
        if entry.max_abs > limit:
            raise WeightsRefused(
                Refusal.STATISTICS,
                f'tensor {entry.name}: magnitudes up to {entry.max_abs:.3g}, '
                f'{before[entry.name]:.3g} in the weights in use; the learner may have diverged',
            )


def _of_tensor(data: npt.NDArray[np.uint8], name: str, tensor: Tensor) -> TensorStatistics:
    squares, largest = 0.0, 0.0
    item = ITEM_BYTES[tensor.dtype]
    with np.errstate(over='ignore', invalid='ignore'):
        for begin in range(tensor.begin, tensor.end, SCAN_VALUES * item):
            raw = data[begin : min(begin + SCAN_VALUES * item, tensor.end)].tobytes()
            values = _values(raw, tensor.dtype)
            block = float(np.dot(values, values))
            if not math.isfinite(block):  # truly so, or only beyond what a float32 sum holds
                wide = values.astype(np.float64)
                block = float(np.dot(wide, wide))
            squares += block
            largest = max(largest, float(values.max()), -float(values.min()))
            if math.isnan(block):
                largest = math.nan
                break
    count = max(math.prod(tensor.shape), 1)
    return TensorStatistics(name, math.sqrt(squares / count), largest)


_VIEWS = {'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'BF16': '<u2'}


def _values(raw: bytes, dtype: str) -> npt.NDArray[np.floating]:
    values = np.frombuffer(raw, _VIEWS[dtype])
    if dtype == 'BF16':  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if dtype == 'F16' else values
