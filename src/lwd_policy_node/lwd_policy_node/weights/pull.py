"""Bring the bytes of an announced file to this robot's disk: in pieces, resumable, cancellable."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lwd_policy_node.weights.manifest import Manifest
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused


class Superseded(Exception):
    """A newer version was announced, or the robot stops: this pull has no purpose any more."""


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


Ask = Callable[[int, int, int], Piece]  # (version, offset, length) -> answer under way


def pull_by_service(
    manifest: Manifest,
    part: Path,
    ask: Ask,
    *,
    piece_bytes: int,
    checkpoint: Callable[[], None],
) -> float:
    """Append the missing bytes of `manifest`'s file to `part`; return the seconds it took.

    The next piece is asked for before the last one is written, so disk and network overlap.

    Args:
        manifest: a verified manifest: its size bounds what is written.
        part: file to append to; what it holds already is not asked for again.
        ask: asks the learner for one piece.
        piece_bytes: size of the pieces asked for.
        checkpoint: called between pieces; may raise `Superseded`.

    Raises:
        Unanswered: the learner is silent; call again to go on.
        WeightsRefused: the learner no longer has the file, or sends nothing.
    """
    began = time.monotonic()
    total = manifest.size_bytes
    with part.open('ab') as file:
        offset = file.tell()
        under_way = ask(manifest.version, offset, piece_bytes) if offset < total else None
        while under_way is not None:
            checkpoint()
            data = under_way.wait()
            if not len(data) or offset + len(data) > total:
                raise WeightsRefused(
                    Refusal.WRONG_SIZE,
                    f'version {manifest.version}: {len(data)} bytes at offset {offset} of {total}',
                )
            offset += len(data)
            under_way = ask(manifest.version, offset, piece_bytes) if offset < total else None
            file.write(data)
    return time.monotonic() - began


def pull_by_uri(manifest: Manifest, part: Path) -> float | None:
    """Copy the file of a ``file://`` URI to `part`; return the seconds, or None if not to be had."""
    address = urlsplit(manifest.uri)
    if address.scheme != 'file':
        return None
    source = Path(unquote(address.path))
    began = time.monotonic()
    if not source.is_file() or source.stat().st_size != manifest.size_bytes:
        return None
    shutil.copyfile(source, part)
    return time.monotonic() - began
