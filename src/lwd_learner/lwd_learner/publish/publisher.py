"""Publish policies to robots: sign, keep, announce on /lwd/weights, serve /lwd/get_weights.

`train` constructs one `Publisher` and calls `publish` after a checkpoint; a thread of its own
answers the robots, so nothing here blocks training. The newest version is announced again after a
restart, and the version numbers go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from lwd_policy_node.nodes import qos
from lwd_policy_node.weights import Manifest, load_private_key
from lwd_policy_node.weights.wire import manifest_to_message
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_learner.publish.archive import PUBLISHED_FOLDER, Archive, VersionCounter
from lwd_learner.publish.bfloat16 import Precision
from lwd_learner.publish.canary import AT_ONCE, CanaryPlan, Tally, Verdict, judge
from lwd_learner.publish.fleet_log import FleetLog
from lwd_learner.publish.locations import Locations
from lwd_learner.publish.piece_service import PieceService
from lwd_learner.publish.publisher_lock import PublisherLock
from lwd_learner.publish.releases import Releases, ReleaseState
from lwd_learner.publish.status_wire import event_of, report_of
from lwd_msgs.msg import RobotStatus, WeightsManifest, WeightsStatus

LOOK_PERIOD_S = 0.5  # how soon a command's change of the releases is announced
HEAR_S = 10.0  # after the first robot the others are listened for so long before any are chosen
GONE_S = 300.0  # neither a trial nor what waits for one waits longer for robots that are away while others work
WEIGHTS_LOG = 'weights.jsonl'

_log = logging.getLogger(__name__)


class Publisher:
    """Owns a ROS node, its context and its thread; use it in `with`, or start() and close()."""

    def __init__(
        self,
        run_dir: Path,
        private_key: Path,
        *,
        keep: int = 5,
        node_name: str = 'learner',
        uris: tuple[str, ...] = (),
        canary: CanaryPlan = AT_ONCE,
        hear_s: float = HEAR_S,
        precision: Precision = 'as_trained',
        tally: Callable[[int], Tally] | None = None,
    ) -> None:
        """Open the archive of a run.

        Args:
            run_dir: the learner's run folder; versions go to ``published/``, events to
                ``weights.jsonl``.
            private_key: Ed25519 private key file (``ros2 run lwd_learner keys``).
            keep: versions kept on disk.
            node_name: name of the ROS node.
            uris: where files can be had besides the service, best first: ``file`` for robots that
                share this file system, ``http://host:port`` to be served there by this process,
                ``s3://bucket/prefix`` to be uploaded there.
            canary: how new versions are tried out on a few robots.
            hear_s: s from the first robot heard to the choice of those.
            precision: of the published matrices.
            tally: episodes by version that a canary is judged by; None: what the robots report.

        Raises:
            KeyFileError: the key is missing, open to others, or not Ed25519.
            BlockingIOError: another learner publishes from this run folder.
            ValueError: an entry of `uris` is none of these.
        """
        key = load_private_key(private_key)
        self._lock = PublisherLock(run_dir / PUBLISHED_FOLDER)
        self._archive = Archive(run_dir / PUBLISHED_FOLDER, keep)
        self._locations = Locations(uris, self._archive)
        counter = VersionCounter(private_key.with_suffix('.version'))
        self.releases = Releases(
            self._archive,
            counter,
            key,
            plan=canary,
            precision=precision,
            locate=self._locations.of,
        )
        """Who gets which version: promote, roll back, pin."""
        self._canary = canary
        self._hear_s = hear_s
        self._node_name = node_name
        self._publishing = threading.RLock()
        self._announced: list[bytes] = []
        self._context: Any = None
        self.fleet = FleetLog(run_dir / WEIGHTS_LOG)
        """What robots reported: `events()`, `robots()`, `wait_for(...)`."""
        self._tally = tally or self.fleet.tally
        self._before = (0, Tally())  # of the stable version, when the trial of this number began

    @property
    def newest(self) -> Manifest | None:
        """Return the manifest of the newest version kept, or None."""
        versions = self._archive.versions()
        return self._archive.manifest(versions[-1]) if versions else None

    def start(self) -> Publisher:
        """Create the node, announce what is released, and answer in a thread."""
        self._locations.open()
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            self._node_name, context=self._context, enable_rosout=False, use_global_arguments=False
        )
        self._announcement = self._node.create_publisher(
            WeightsManifest, '/lwd/weights', qos.WEIGHTS
        )
        PieceService(self._node, self._archive)
        self._node.create_subscription(
            WeightsStatus, '/lwd/weights_status', self._on_weights_status, qos.WEIGHTS_STATUS
        )
        self._node.create_subscription(
            RobotStatus, '/lwd/robot_status', self._on_robot_status, qos.ROBOT_STATUS
        )
        self._node.create_timer(LOOK_PERIOD_S, self._look)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='publisher', daemon=True)
        self._thread.start()
        self._announce()
        return self

    def close(self) -> None:
        """Stop answering, give the node and the folder back. May be called twice."""
        if self._context is not None:
            self._executor.shutdown()
            self._context.try_shutdown()
            self._thread.join()
            self._node.destroy_node()
            self._locations.close()
            self._context = None
        self._lock.close()

    def __enter__(self) -> Publisher:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish(
        self,
        policy_path: Path,
        *,
        stage: str,
        step: int,
        replay_version: str = '',
        parent: int | None = None,
        check: bool = True,
    ) -> int:
        """Copy, sign and announce a policy; return its version. Any thread may call.

        Args:
            policy_path: safetensors file with ``lwd.config_hash`` in its metadata.
            stage: sft, offline or online.
            step: learner step.
            replay_version: snapshot the policy was trained on, ``offline@N online@M amendments@K``.
            parent: version it was trained from; None: the newest one before it.
            check: refuse a file with NaN or infinite values (off: fault injection).

        Raises:
            WeightsRefused: the file is malformed or holds non-finite values.
            OSError: it cannot be read or copied.
        """
        if self._context is None:
            raise RuntimeError('the publisher is not started: call start(), or use `with`')
        with self._publishing:
            version = self.releases.publish(
                policy_path,
                stage=stage,
                step=step,
                replay_version=replay_version,
                parent=parent,
                check=check,
                robots=self._gathered(),
            )
            self._note_trial()
            self._announce()
        return version

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            _log.debug('the ROS context was shut down')

    def _look(self) -> None:
        """Judge the version on trial, offer what waits, and announce what has changed."""
        if not self._publishing.acquire(blocking=False):
            return  # a publication is under way; it announces
        try:
            self._judge(self._canary)
            self._offer_waiting()
            self._announce()
        except (OSError, ValueError, LookupError) as error:
            _log.error('releases: %s', error)
        finally:
            self._publishing.release()

    def _judge(self, plan: CanaryPlan) -> None:
        state = self._note_trial()
        if not state.trial or state.pinned:
            return
        trial = self._tally(state.trial)
        others = self._tally(state.stable).since(self._before[1])
        verdict, why = judge(trial, others, plan)
        if verdict is Verdict.WAIT and self._all_left(state.robots):
            verdict, why = (
                Verdict.TAKE_BACK,
                f'{", ".join(state.robots)} not heard for {GONE_S:g} s',
            )
        if verdict is Verdict.WAIT:
            return
        _log.warning('version %d on trial: %s, %s', state.trial, verdict, why)
        if verdict is Verdict.PROMOTE:
            self.releases.promote(state.trial)
        else:
            self.releases.take_back(state.trial)

    def _offer_waiting(self) -> None:
        """Offer the version that a trial, a pin or the absence of robots kept waiting, once none does."""
        state = self.releases.state()
        if not state.waiting or state.trial or state.pinned:
            return
        self.releases.next_in_line(self._gathered())
        self._note_trial()

    def _gathered(self) -> tuple[str, ...]:
        """The robots to choose from; none as long as those heard may be but the first of them to come up."""
        robots = self.fleet.present()
        others_known = len(self.fleet.robots()) > len(robots)
        alone = others_known and not self._canary.choose(robots)
        enough_s = GONE_S if alone else self._hear_s
        return tuple(robots) if self.fleet.there_for_s() >= enough_s else ()

    def _note_trial(self) -> ReleaseState:
        """Where a trial begins, what the others did before: they are judged by what they do beside it."""
        state = self.releases.state()
        if self._before[0] != state.trial:
            self._before = (state.trial, self._tally(state.stable))
        return state

    def _all_left(self, robots: tuple[str, ...]) -> bool:
        """Whether a trial waits for robots that are away, while others work."""
        if self.fleet.there_for_s() < GONE_S:
            return False  # they may come up after the others
        present = self.fleet.present(GONE_S)
        return bool(robots and present) and not set(robots) & set(present)

    def _announce(self) -> None:
        """Announce all that is offered, if any of it has changed: readers keep the last two."""
        with self._publishing:
            offered = self.releases.offered()
            signatures = [manifest.signature for manifest in offered]
            if signatures == self._announced:
                return
            for manifest in offered:
                self._announcement.publish(manifest_to_message(manifest))
            self._announced = signatures

    def _on_weights_status(self, message: Any) -> None:
        event = event_of(message)
        self.fleet.add_event(event)
        if message.event == WeightsStatus.REFUSED:
            _log.warning('%s refused version %d: %s', event.robot_id, event.version, event.reason)

    def _on_robot_status(self, message: Any) -> None:
        self.fleet.add_report(report_of(message))
