"""Bring an announced file to this robot's disk by the cheapest way there is.

In this order: a copy of what is kept, the difference from the parent's file, the whole file; each of
the last two by URI, if this robot uses URIs, and then over the learner's service.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node

from lwd_msgs.srv import GetWeights
from lwd_policy_node.nodes.piece_request import POLL_S, PieceRequest
from lwd_policy_node.weights import Manifest, WeightsStore
from lwd_policy_node.weights.checks import file_sha256
from lwd_policy_node.weights.delta import apply_delta
from lwd_policy_node.weights.manifest import DELTA_SUFFIX
from lwd_policy_node.weights.pull import Unanswered, pull_by_service
from lwd_policy_node.weights.refusal import WeightsRefused
from lwd_policy_node.weights.uri import NotThere, pull_by_uri
from lwd_policy_node.weights.wire import PIECES_SERVICE

OPENING_S = 1.0  # a first answer may be lost, if DDS has matched only one of the two directions
OWN_SERVICE_S = 3.0  # patience for the learner's service of this robot alone


@dataclass(frozen=True, slots=True)
class WeightsOptions:
    """How this robot takes weights; the fields are policy_node's parameters."""

    robot_id: str
    trusted_keys: Path
    transport: str  # service or uri
    config_hash: str  # the only one taken; empty: every one that fits the robot
    piece_bytes: int
    answer_timeout_s: float
    retry_s: float
    robot: Mapping[str, object]  # what weights must be made for; see `profile.policy_facts`
    chunk_shape: tuple[int, int]  # (H, A)


class WeightsPull:
    """Fetches files for one robot; used by one worker thread."""

    def __init__(
        self,
        node: Node,
        options: WeightsOptions,
        store: WeightsStore,
        pause: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        """Make the clients.

        Args:
            node: the node whose executor delivers answers.
            options: see `WeightsOptions`.
            store: this robot's weights folder.
            pause: waits for so many seconds, or until there is something newer to do.
            say: told what the pull waits for.
        """
        self._node = node
        self._options = options
        self._store = store
        self._pause = pause
        self._say = say
        self._shared = node.create_client(GetWeights, PIECES_SERVICE)
        self._own = node.create_client(GetWeights, f'{PIECES_SERVICE}/{options.robot_id}')

    def close(self) -> None:
        """Withdraw the clients."""
        self._node.destroy_client(self._shared)
        self._node.destroy_client(self._own)

    def bring(
        self, manifest: Manifest, part: Path, checkpoint: Callable[[], None]
    ) -> tuple[str, float]:
        """Gather the whole file in `part`; return (way it came, seconds it took).

        Raises:
            WeightsRefused: the learner no longer has the file, or sends another size.
            Superseded: by `checkpoint`.
            OSError: the disk does not take it.
        """
        self._store.clear_parts(but=manifest)
        began = time.monotonic()
        twin = self._store.same_file(manifest)
        if twin is not None and file_sha256(twin) == manifest.sha256:
            shutil.copyfile(twin, part)
            return 'kept', time.monotonic() - began
        way = self._by_delta(manifest, part, checkpoint)
        if not way:
            way = self._fetch(manifest, False, part, checkpoint)
        return way, time.monotonic() - began

    def _by_delta(self, manifest: Manifest, part: Path, checkpoint: Callable[[], None]) -> str:
        """Try the difference; an empty string when the whole file is needed."""
        parent = self._store.policy_path(manifest.parent)
        if not manifest.delta_bytes or not parent.is_file() or part.exists():
            return ''
        delta = self._store.delta_part_path(manifest)
        try:
            way = self._fetch(manifest, True, delta, checkpoint)
            apply_delta(parent, delta, part, manifest.size_bytes)
        except WeightsRefused as refused:
            self._node.get_logger().warning(f'version {manifest.version}: {refused}; in full')
            return ''
        finally:
            if not delta.exists() or delta.stat().st_size >= manifest.delta_bytes:
                delta.unlink(missing_ok=True)
        if file_sha256(part) != manifest.sha256:
            part.unlink()
            self._node.get_logger().warning(
                f'version {manifest.version}: version {manifest.parent} here and its difference '
                f'do not make the signed file; it is pulled in full'
            )
            return ''
        return f'{way} delta'

    def _fetch(
        self, manifest: Manifest, delta: bool, part: Path, checkpoint: Callable[[], None]
    ) -> str:
        total = manifest.delta_bytes if delta else manifest.size_bytes
        if self._options.transport == 'uri':
            for uri in manifest.uris:
                try:
                    pull_by_uri(uri + (DELTA_SUFFIX if delta else ''), part, total, checkpoint)
                    return 'uri'
                except NotThere as error:
                    self._node.get_logger().warning(f'version {manifest.version}: {error}')
        while True:
            try:
                client = self._open_service(manifest, checkpoint)
                self._by_service(client, manifest, delta, part, checkpoint)
                return 'service'
            except Unanswered:
                held = part.stat().st_size if part.exists() else 0
                self._say(
                    f'waiting for the learner: {held} of {total} bytes of version '
                    f'{manifest.version}'
                )
                self._pause(self._options.retry_s)
                checkpoint()

    def _by_service(
        self,
        client: Any,
        manifest: Manifest,
        delta: bool,
        part: Path,
        checkpoint: Callable[[], None],
    ) -> None:
        def ask(offset: int, length: int) -> PieceRequest:
            request = GetWeights.Request(version=manifest.version, delta=delta, offset=offset)
            request.length, request.robot_id = length, self._options.robot_id
            return PieceRequest(client, request, self._options.answer_timeout_s, checkpoint)

        total = manifest.delta_bytes if delta else manifest.size_bytes
        pull_by_service(
            part, total, ask, piece_bytes=self._options.piece_bytes, checkpoint=checkpoint
        )

    def _open_service(self, manifest: Manifest, checkpoint: Callable[[], None]) -> Any:
        """Return the client of this robot's own service, or of the one for all if there is none."""
        while not self._shared.service_is_ready():
            self._say(f'version {manifest.version} is announced, but nobody serves its file')
            checkpoint()
            self._pause(POLL_S)
        request = GetWeights.Request(version=manifest.version, robot_id=self._options.robot_id)
        patience_s = min(OPENING_S, self._options.answer_timeout_s)
        PieceRequest(self._shared, request, patience_s, checkpoint).wait()
        give_up_s = time.monotonic() + OWN_SERVICE_S
        while time.monotonic() < give_up_s:
            if self._own.service_is_ready():
                return self._own
            checkpoint()
            time.sleep(POLL_S)
        self._node.get_logger().warning(f'no service of its own for {self._options.robot_id}')
        return self._shared
