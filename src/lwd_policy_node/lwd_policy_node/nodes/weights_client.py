"""The robot's end of /lwd/weights: pull, check, load and offer weights beside a running policy.

Announcements are queued by the node's thread; a worker thread does the rest, so neither the
executor nor the inference waits for a download, a hash or a model.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from lwd_msgs.msg import WeightsManifest, WeightsStatus
from lwd_policy_node.inference import LoadedWeights, PolicySlot
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.threads import start_thread
from lwd_policy_node.nodes.weights_fetch import WeightsFetcher
from lwd_policy_node.nodes.weights_pull import WeightsOptions, WeightsPull
from lwd_policy_node.nodes.weights_report import WeightsReport
from lwd_policy_node.nodes.weights_roll_back import RollBackService
from lwd_policy_node.weights import KeyFileError, Manifest, WeightsStore, load_trusted_keys
from lwd_policy_node.weights.checks import Load, Sample, check_manifest
from lwd_policy_node.weights.pull import Superseded
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused
from lwd_policy_node.weights.store import DEATHS_ALLOWED, DEATHS_FILE
from lwd_policy_node.weights.wire import manifest_from_message

DAMAGED = (Refusal.WRONG_SIZE, Refusal.HASH_MISMATCH)  # the disk's doing: the learner has it whole


class WeightsClient:
    """Follows the learner's announcements and keeps `slot` supplied with good weights."""

    def __init__(
        self,
        node: Node,
        *,
        options: WeightsOptions,
        store: WeightsStore,
        slot: PolicySlot,
        loader: Callable[[], Load],
        sample: Sample,
        changed: Callable[[], None],
        follow: bool = True,
    ) -> None:
        """Subscribe and start the worker, which first brings back the last good weights.

        Args:
            node: the node whose executor delivers announcements and answers.
            options: see `WeightsOptions`.
            store: this robot's weights folder.
            slot: where good weights are offered.
            loader: called once in the worker; returns what builds a policy from a file.
            sample: returns an observation to try weights on; see `weights.checks.open_checked`.
            changed: called in the worker when `slot` has other weights; whoever runs them calls
                `activated` once they are in use.
            follow: False: only the weights on disk.
        """
        self._node = node
        self._options = options
        self._store = store
        self._slot = slot
        self._loader = loader
        self._stuck: set[int] = set()
        self._taking: Manifest | None = None
        self._sample = sample
        self._changed = changed
        self.restored = threading.Event()
        """Set when the last good weights are in use, if there are any."""
        self.broken = ''
        """Why no weights can be loaded at all; empty: they can."""
        self._wake = threading.Condition()
        self._inbox: deque[Manifest] = deque()
        self._activated: deque[LoadedWeights] = deque()
        self._failed: tuple[LoadedWeights, str] | None = None
        self._stopping = False
        self._note = 'no weights yet'
        self._report = WeightsReport(node, options.robot_id)
        self._pull = WeightsPull(node, options, store, self._pause, self._say)
        self._roll_back = RollBackService(node, slot, store, self._on_roll_back)
        self._announcements = follow and node.create_subscription(
            WeightsManifest, '/lwd/weights', self._on_announcement, qos.WEIGHTS
        )
        self._thread = start_thread('weights', self._work, lambda: self._stopping)

    @property
    def note(self) -> str:
        """Return what the client is doing or waiting for; empty when all is well."""
        return self._note

    def close(self) -> None:
        """Stop the worker and withdraw its topics; a pull under way is given up."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(timeout=5.0)
        self._store.leave()
        if self._announcements:
            self._node.destroy_subscription(self._announcements)
        self._roll_back.close()
        self._pull.close()
        self._report.close()

    def activated(self, weights: LoadedWeights) -> None:
        """Report weights that are in use from now on, and remember them on disk."""
        self._report.tell(weights.manifest, WeightsStatus.ACTIVE, weights)
        with self._wake:
            self._activated.append(weights)
            self._wake.notify_all()

    def failed(self, weights: LoadedWeights, reason: str) -> None:
        """Ask the worker to go back from weights that failed while in use.

        Nothing where that was in vain before: asked at every plan, it would break off the pull of the next version.
        """
        with self._wake:
            if self._slot.active is not weights or weights.manifest.version in self._stuck:
                return
            self._failed = (weights, reason)
            self._wake.notify_all()

    def _on_roll_back(self, weights: LoadedWeights, reason: str) -> None:
        """An operator's request is tried however often it was in vain before."""
        self._stuck.discard(weights.manifest.version)
        self.failed(weights, reason)

    def _on_announcement(self, message: Any) -> None:
        with self._wake:
            self._inbox.append(manifest_from_message(message))
            self._wake.notify_all()

    def _work(self) -> None:
        try:
            load = self._loader()
        except (ImportError, OSError) as error:
            self.broken = f'the policy cannot be loaded: {error}; is everything installed?'
            self.restored.set()
            return
        self._fetcher = WeightsFetcher(self._pull, self._options, self._store, self._sample, load)
        last_good, _ = self._last_good(None)
        if last_good is not None:
            self._use(last_good)
        self.restored.set()
        wanted: Manifest | None = None
        while True:
            with self._wake:
                if wanted is None:
                    self._wake.wait_for(self._called)
                if self._stopping:
                    return
                activated = list(self._activated)
                self._activated.clear()
                failed, self._failed = self._failed, None
            for weights in activated:
                self._store.survived(weights.manifest.version)
                self._remember(weights.manifest.version)
            if failed is not None:
                self._go_back(*failed)
            floor = self._slot.newest_version if wanted is None else wanted.version
            wanted = self._newest_announced(floor) or wanted
            if wanted is not None:
                wanted = self._take(wanted)

    def _called(self) -> bool:
        """Whether there is anything to do that does not wait for a pull under way; hold `_wake`."""
        return bool(self._stopping or self._inbox or self._activated or self._failed)

    def _pause(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(self._called, seconds)

    def _say(self, note: str) -> None:
        self._note = note

    def _newest_announced(self, floor: int) -> Manifest | None:
        """Empty the inbox; return the newest acceptable manifest above `floor`."""
        with self._wake:
            announced = sorted(self._inbox, key=lambda manifest: manifest.version)
            self._inbox.clear()
        best: Manifest | None = None
        for manifest in announced:
            if not manifest.concerns(self._options.robot_id):
                continue  # tried out on other robots first
            newest = floor if best is None else max(floor, best.version)
            try:
                if self._known(manifest):
                    self._check_manifest(manifest, 0)
                    continue
                self._check_manifest(manifest, newest)
            except (WeightsRefused, OSError) as refused:
                self._refuse(manifest, refused)
                continue
            best = manifest
        return best

    def _known(self, manifest: Manifest) -> bool:
        """Whether this is what the robot has anyway."""
        held = [w.manifest for w in (self._slot.active, self._slot.standby) if w is not None]
        held += [] if self._taking is None else [self._taking]
        return any(ours.makes_needless(manifest) for ours in held)

    def _check_manifest(self, manifest: Manifest, newest: int) -> None:
        where = self._options.trusted_keys
        try:
            trusted = load_trusted_keys(where)
        except KeyFileError as error:
            raise WeightsRefused(Refusal.NO_TRUSTED_KEY, str(error)) from error
        if manifest.version in self._store.failed():
            raise WeightsRefused(
                Refusal.WENT_BACK, f'this robot went back from version {manifest.version}'
            )
        deaths = self._store.deaths().get(manifest.version, 0)
        if deaths >= DEATHS_ALLOWED:
            raise WeightsRefused(
                Refusal.DEADLY,
                f'the process died {deaths} times in a row as it loaded version {manifest.version}; '
                f'to have it tried again, delete {self._store.folder / DEATHS_FILE}',
            )
        check_manifest(
            manifest,
            trusted=trusted,
            where=str(where),
            active_version=newest,
            config_hash=self._options.config_hash,
            floor=self._store.floor(),
        )
        self._store.raise_floor(manifest.floor)

    def _take(self, manifest: Manifest) -> Manifest | None:
        """Pull, check, load and offer one version; return what to take next: a newer one that came meanwhile, or
        this one again, when something else had to be done first.
        """
        newer: list[Manifest] = []

        def checkpoint() -> None:
            if self._stopping or self._activated or self._failed:
                raise Superseded
            if self._inbox:
                found = self._newest_announced(manifest.version)
                if found is not None:
                    newer.append(found)
                    raise Superseded

        self._taking = manifest
        self._note = f'taking version {manifest.version}'
        try:
            active = self._slot.active
            in_use = None if active is None else active.manifest
            weights = self._fetcher.fetch(manifest, in_use, checkpoint)
        except (WeightsRefused, OSError) as error:
            self._store.clear_parts()
            self._refuse(manifest, error)
            self._taking = None
            return None
        except Superseded:  # the next one, after a restart too, goes on where this pull was
            return newer[0] if newer else manifest
        self._taking = None
        if weights.transport:  # else it was pulled, and reported, before a restart
            self._report.tell(manifest, WeightsStatus.LOADED, weights)
        self._note = ''
        self._slot.offer(weights)
        self._changed()
        return None

    def _last_good(self, failed_version: int | None) -> tuple[LoadedWeights | None, list[str]]:
        """The last good weights on disk, older than `failed_version` if given, and why others are not used."""
        refused = []
        for manifest in self._store.last_good():
            if failed_version is not None and manifest.version >= failed_version:
                continue
            try:
                self._check_manifest(manifest, 0)
                path = self._store.policy_path(manifest.version)
                return self._fetcher.open(path, manifest), refused
            except (WeightsRefused, OSError) as error:
                deadly = isinstance(error, WeightsRefused) and error.kind is Refusal.DEADLY
                event = WeightsStatus.ROLLED_BACK if deadly else WeightsStatus.REFUSED
                self._report.tell(manifest, event, reason=f'kept on disk, but {error}')
                self._node.get_logger().error(f'weights on disk: {error}')
                refused.append(str(error))
                if isinstance(error, WeightsRefused) and error.kind in DAMAGED:
                    self._store.remove(manifest.version)  # to be pulled again
        return None, refused

    def _use(self, weights: LoadedWeights) -> None:
        """Put weights of the disk in use at once."""
        self._slot.replace_active(weights)
        self._remember(weights.manifest.version)
        self._note = ''
        self._changed()

    def _remember(self, version: int) -> None:
        if self._store.active() == version:
            return
        try:
            self._store.set_active(version)
        except OSError as error:
            self._node.get_logger().error(
                f'version {version} is in use but {self._store.folder} does not take it: {error}; '
                f'after a restart an older version would come back'
            )

    def _go_back(self, weights: LoadedWeights, reason: str) -> None:
        version = weights.manifest.version
        if self._slot.active is not weights or version in self._stuck:
            return
        self._stuck.add(version)
        former, refused = self._last_good(version)
        if former is None:
            none = f'can be used: {"; ".join(refused)}' if refused else 'is kept'
            self._note = f'version {version} stays in use although {reason}: no older one {none}'
            self._node.get_logger().error(self._note)
            return
        self._store.end_trial(version)
        try:
            self._store.mark_failed(version)
        except OSError as error:
            self._node.get_logger().error(
                f'{self._store.folder} does not take that version {version} failed: {error}; '
                'after a restart it would come back'
            )
        text = f'{reason}; went back to version {former.manifest.version}'
        self._report.tell(weights.manifest, WeightsStatus.ROLLED_BACK, weights, text)
        self._node.get_logger().error(f'version {version}: {text}')
        self._use(former)

    def _refuse(self, manifest: Manifest, error: WeightsRefused | OSError) -> None:
        refused = error
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = 'make room there' if full else 'see that this robot can read and write it'
            refused = WeightsRefused(Refusal.DISK, f'{self._store.folder}: {error}; {remedy}')
        active = self._slot.active
        self._note = '' if active is not None else f'no weights yet; refused: {refused}'
        held = 'no weights' if active is None else f'version {active.manifest.version}'
        reason = f'{refused}; goes on with {held}'
        self._node.get_logger().error(f'refused version {manifest.version}: {reason}')
        self._report.tell(manifest, WeightsStatus.REFUSED, reason=reason)
