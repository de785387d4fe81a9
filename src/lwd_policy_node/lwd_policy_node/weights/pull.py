"""Bring the bytes of an announced file to this robot's disk over the learner's service: in pieces, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lwd_policy_node.weights.refusal import Refusal, WeightsRefused


class Superseded(Exception):
    """Something comes before this pull: a newer version, the way back from one that fails, the robot's stop."""


class Unanswered(Exception):
    """The learner did not answer in time; asking again later goes on where the pull was."""


class Piece(Protocol):
    """An answer under way."""

    def wait(self) -> memoryview:
        """Return the bytes.

        Raises:
            Unanswered: nothing came in time.
            WeightsRefused: the learner does not have them (kind UNREACHABLE).
        """


Ask = Callable[[int, int], Piece]  # (offset, length) -> answer under way


def pull_by_service(
    part: Path,
    total: int,
    ask: Ask,
    *,
    piece_bytes: int,
    checkpoint: Callable[[], None],
) -> float:
    """Append to `part` what it lacks of `total` bytes; return the seconds it took.

    The next piece is asked for before the last one is written, so disk and network overlap.

    Args:
        part: file to append to; what it holds already is not asked for again.
        total: signed size of the whole, bytes: never more is written.
        ask: asks the learner for one piece.
        piece_bytes: size of the pieces asked for.
        checkpoint: called between pieces; may raise `Superseded`.

    Raises:
        Unanswered: the learner is silent; call again to go on.
        WeightsRefused: the learner no longer has the file, or sends nothing.
    """
    began = time.monotonic()
    with part.open('ab') as file:
        offset = file.tell()
        under_way = ask(offset, piece_bytes) if offset < total else None
        while under_way is not None:
            checkpoint()
            data = under_way.wait()
            if not len(data) or offset + len(data) > total:
                raise WeightsRefused(
                    Refusal.WRONG_SIZE,
                    f'the learner sent {len(data)} bytes at offset {offset} of {total}',
                )
            offset += len(data)
            under_way = ask(offset, piece_bytes) if offset < total else None
            file.write(data)
    return time.monotonic() - began
