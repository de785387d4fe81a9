"""One announced version from the learner to a policy that passed every check, on this robot's disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwd_policy_node.inference import LoadedWeights
from lwd_policy_node.nodes.piece_request import POLL_S, PieceRequest
from lwd_policy_node.weights import Manifest, WeightsStore
from lwd_policy_node.weights.checks import Load, Sample, known_instruction, open_checked
from lwd_policy_node.weights.pull import Unanswered, pull_by_service, pull_by_uri


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
    profile: str  # name of the robot profile
    chunk_shape: tuple[int, int]  # (H, A)


class WeightsFetcher:
    """Pulls, checks and loads, in the thread that calls it."""

    def __init__(
        self,
        client: Any,
        options: WeightsOptions,
        store: WeightsStore,
        sample: Sample,
        load: Load,
        *,
        pause: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        """Fetch for one robot.

        Args:
            client: of /lwd/get_weights.
            options: see `WeightsOptions`.
            store: this robot's weights folder.
            sample: returns an observation to try weights on; see `weights.checks.open_checked`.
            load: builds a policy from a file.
            pause: waits so long, s, or until there is something newer to do.
            say: takes what is waited for.
        """
        self._client = client
        self._options = options
        self._store = store
        self._sample = sample
        self._load = load
        self._pause = pause
        self._say = say

    def fetch(
        self, manifest: Manifest, like: Path | None, checkpoint: Callable[[], None]
    ) -> LoadedWeights:
        """Return the weights of `manifest`, and keep them on disk.

        Args:
            manifest: what was announced, checked.
            like: a file whose tensors' shapes they must have where the configuration is the same.
            checkpoint: called often; what it raises ends the fetch.

        Raises:
            WeightsRefused, OSError: they cannot be had, or must not be used.
        """
        transport, transfer_s = '', 0.0
        path = self._store.policy_path(manifest.version)
        if not self._store.holds(manifest):
            path = self._store.part_path(manifest)
            transport, transfer_s = self._pull(manifest, path, checkpoint)
        weights = self.open(path, manifest, like, transport, transfer_s)
        if transport:
            self._store.admit(manifest, path)
        return weights

    def open(
        self,
        path: Path,
        manifest: Manifest,
        like: Path | None = None,
        transport: str = '',
        transfer_s: float = 0.0,
    ) -> LoadedWeights:
        """Return the weights of a file.

        Raises:
            WeightsRefused, OSError: they must not be used.
        """
        policy = open_checked(
            path,
            manifest,
            load=self._load,
            robot=self._options.profile,
            shape=self._options.chunk_shape,
            sample=self._sample,
            like=like,
        )
        return LoadedWeights(policy, manifest, transport, transfer_s, known_instruction(path))

    def _pull(
        self, manifest: Manifest, part: Path, checkpoint: Callable[[], None]
    ) -> tuple[str, float]:
        if self._options.transport == 'uri':
            part.unlink(missing_ok=True)
            if (seconds := pull_by_uri(manifest, part)) is not None:
                return 'uri', seconds
        began = time.monotonic()
        while True:
            self._await_learner(manifest, checkpoint)
            try:
                pull_by_service(
                    manifest,
                    part,
                    lambda *piece: PieceRequest(
                        self._client, self._options.answer_timeout_s, checkpoint, *piece
                    ),
                    piece_bytes=self._options.piece_bytes,
                    checkpoint=checkpoint,
                )
                return 'service', time.monotonic() - began
            except Unanswered:
                held = part.stat().st_size
                self._say(
                    f'waiting for the learner: {held} of {manifest.size_bytes} bytes of version '
                    f'{manifest.version}'
                )
                self._pause(self._options.retry_s)

    def _await_learner(self, manifest: Manifest, checkpoint: Callable[[], None]) -> None:
        while not self._client.service_is_ready():
            self._say(f'version {manifest.version} is announced, but nobody serves its file')
            checkpoint()
            self._pause(POLL_S)
