"""How one topic of a bag is written and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from lwd_recorder.bag.metadata import OfferedQos

Compression = Literal['none', 'lz4', 'zstd']
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """One topic's entry in a BagWriter."""

    qos: OfferedQos = field(default_factory=OfferedQos)
    """What its publisher offered."""
    compression: Compression = 'lz4'
    """Of the chunks that its messages go into: none for JPEG and other bytes that do not shrink."""
    periodic: bool = False
    """It comes at a steady rate: silence at the start or the end of an episode is a gap, too."""
