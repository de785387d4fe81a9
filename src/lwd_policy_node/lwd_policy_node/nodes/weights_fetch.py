"""One announced version from the learner to a policy that passed every check, on this robot's disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lwd_policy_node.inference import LoadedWeights
from lwd_policy_node.nodes.weights_pull import WeightsOptions, WeightsPull
from lwd_policy_node.weights import Manifest, WeightsStore
from lwd_policy_node.weights.checks import Load, Sample, known_instruction, open_checked
from lwd_policy_node.weights.refusal import WeightsRefused
from lwd_policy_node.weights.store import flush

__all__ = ['WeightsFetcher', 'WeightsOptions']


class WeightsFetcher:
    """Pulls, checks and loads, in the thread that calls it."""

    def __init__(
        self,
        pull: WeightsPull,
        options: WeightsOptions,
        store: WeightsStore,
        sample: Sample,
        load: Load,
    ) -> None:
        """Fetch for one robot.

        Args:
            pull: brings the bytes.
            options: see `WeightsOptions`.
            store: this robot's weights folder.
            sample: returns an observation to try weights on; see `weights.checks.open_checked`.
            load: builds a policy from a file.
        """
        self._pull = pull
        self._options = options
        self._store = store
        self._sample = sample
        self._load = load

    def fetch(
        self, manifest: Manifest, in_use: Manifest | None, checkpoint: Callable[[], None]
    ) -> LoadedWeights:
        """Return the weights of `manifest`, and keep them on disk.

        Args:
            manifest: what was announced, checked.
            in_use: of the weights in use, whose tensors they must resemble.
            checkpoint: called often; what it raises ends the fetch.

        Raises:
            WeightsRefused, OSError: they cannot be had, or must not be used.
        """
        transport, transfer_s = '', 0.0
        path = self._store.policy_path(manifest.version)
        if not self._store.holds(manifest):
            path = self._store.part_path(manifest)
            transport, transfer_s = self._pull.bring(manifest, path, checkpoint)
        with ThreadPoolExecutor(1) as beside:  # the disk works while the bytes are checked
            flushed = beside.submit(flush, path) if transport else None
            weights = self.open(path, manifest, in_use, transport, transfer_s)
            if flushed is not None:
                flushed.result()
        if transport:
            self._store.admit(manifest, path)
        return weights

    def open(
        self,
        path: Path,
        manifest: Manifest,
        in_use: Manifest | None = None,
        transport: str = '',
        transfer_s: float = 0.0,
    ) -> LoadedWeights:
        """Return the weights of a file; they are on trial until they have run where plans are made.

        Raises:
            WeightsRefused, OSError: they must not be used.
        """
        alike = in_use is not None and in_use.config_hash == manifest.config_hash
        self._store.begin_trial(manifest.version)
        try:
            policy = open_checked(
                path,
                manifest,
                load=self._load,
                robot=self._options.robot,
                shape=self._options.chunk_shape,
                sample=self._sample,
                like=self._store.policy_path(in_use.version) if in_use and alike else None,
                in_use=in_use.tensors if in_use and alike else (),
            )
        except (WeightsRefused, OSError):
            self._store.end_trial(manifest.version)
            raise
        return LoadedWeights(policy, manifest, transport, transfer_s, known_instruction(path))
