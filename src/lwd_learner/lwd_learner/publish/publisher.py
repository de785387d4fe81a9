"""Publish policies to robots: sign, keep, announce on /lwd/weights, serve /lwd/get_weights.

`train` constructs one `Publisher` and calls `publish` after a checkpoint; a thread of its own
answers the robots, so nothing here blocks training. The newest version is announced again after a
restart, and the version numbers go on.
"""

from __future__ import annotations

import array
import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from lwd_policy_node.nodes import qos
from lwd_policy_node.weights import Manifest, load_private_key
from lwd_policy_node.weights.checks import CONFIG_HASH_KEY
from lwd_policy_node.weights.tensors import check_finite, read_header
from lwd_policy_node.weights.wire import manifest_to_message, time_ns
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.fleet_log import EVENTS, FleetLog, RobotReport, WeightsEvent
from lwd_msgs.msg import RobotStatus, WeightsManifest, WeightsStatus
from lwd_msgs.srv import GetWeights

PIECE_LIMIT_BYTES = 4 << 20  # 4 MiB: larger pieces were not faster, smaller ones were
PUBLISHED_FOLDER = 'published'
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
        file_uri: bool = False,
    ) -> None:
        """Open the archive of a run.

        Args:
            run_dir: the learner's run folder; versions go to ``published/``, events to
                ``weights.jsonl``.
            private_key: Ed25519 private key file (``ros2 run lwd_learner keys``).
            keep: versions kept on disk.
            node_name: name of the ROS node.
            file_uri: announce a ``file://`` URI too, for robots that share this file system.

        Raises:
            KeyFileError: the key is missing, open to others, or not Ed25519.
        """
        self._key = load_private_key(private_key)
        self._counter = VersionCounter(private_key.with_suffix('.version'))
        self._archive = Archive(run_dir / PUBLISHED_FOLDER, keep)
        self._file_uri = file_uri
        self._node_name = node_name
        self._publishing = threading.Lock()
        self._context: Any = None
        self.fleet = FleetLog(run_dir / WEIGHTS_LOG)
        """What robots reported: `events()`, `robots()`, `wait_for(...)`."""

    @property
    def newest(self) -> Manifest | None:
        """Return the manifest of the newest version kept, or None."""
        versions = self._archive.versions()
        return self._archive.manifest(versions[-1]) if versions else None

    def start(self) -> Publisher:
        """Create the node, announce the newest version, and answer in a thread."""
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            self._node_name, context=self._context, enable_rosout=False, use_global_arguments=False
        )
        self._announcement = self._node.create_publisher(
            WeightsManifest, '/lwd/weights', qos.WEIGHTS
        )
        self._node.create_service(GetWeights, '/lwd/get_weights', self._serve)
        self._node.create_subscription(
            WeightsStatus, '/lwd/weights_status', self._on_weights_status, qos.WEIGHTS_STATUS
        )
        self._node.create_subscription(
            RobotStatus, '/lwd/robot_status', self._on_robot_status, qos.ROBOT_STATUS
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='publisher', daemon=True)
        self._thread.start()
        if (newest := self.newest) is not None:
            self._announcement.publish(manifest_to_message(newest))
        return self

    def close(self) -> None:
        """Stop answering and give the node back. May be called twice."""
        if self._context is None:
            return
        self._executor.shutdown()
        self._context.try_shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context = None

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
            replay_version: snapshot the policy was trained on, ``offline@N online@M``.
            parent: version it was trained from; None: the newest one before it.
            check: refuse a file with NaN or infinite values (off: fault injection).

        Raises:
            WeightsRefused: the file is malformed or holds non-finite values.
            OSError: it cannot be read or copied.
        """
        if self._context is None:
            raise RuntimeError('the publisher is not started: call start(), or use `with`')
        header = read_header(policy_path)
        config_hash = header.metadata.get(CONFIG_HASH_KEY, '')
        if not config_hash:
            raise ValueError(
                f'{policy_path}: no {CONFIG_HASH_KEY} in the metadata: save it with Policy.save'
            )
        if check:
            check_finite(policy_path, header)
        with self._publishing:
            staged, size, digest = self._archive.stage(policy_path)
            newest = max(self._archive.versions(), default=0)
            version = self._counter.next(at_least=newest + 1)
            path = self._archive.policy_path(version)
            manifest = Manifest(
                published_ns=time.time_ns(),
                version=version,
                parent=newest if parent is None else parent,
                stage=stage,
                step=step,
                config_hash=config_hash,
                replay_version=replay_version,
                size_bytes=size,
                sha256=digest,
                uri=path.resolve().as_uri() if self._file_uri else '',
            ).signed(self._key)
            self._archive.admit(manifest, staged)
            self._announcement.publish(manifest_to_message(manifest))
        _log.info('published version %d (%s, %d bytes)', version, stage, size)
        return version

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            _log.debug('the ROS context was shut down')

    def _serve(self, request: Any, response: Any) -> Any:
        try:
            data = self._archive.bytes_of(request.version)
        except LookupError as error:
            response.message = str(error.args[0])
            return response
        except OSError as error:  # made room for a newer one at this very moment
            response.message = f'version {request.version} cannot be read: {error}'
            return response
        response.size_bytes = len(data)
        if request.offset > len(data):
            response.message = (
                f'offset {request.offset} is beyond the {len(data)} bytes of version '
                f'{request.version}'
            )
            return response
        length = min(request.length, PIECE_LIMIT_BYTES)
        piece = array.array('B')
        piece.frombytes(data[request.offset : request.offset + length])
        response.data = piece
        response.ok = True
        return response

    def _on_weights_status(self, message: Any) -> None:
        event = WeightsEvent(
            version=message.version,
            robot_id=message.robot_id,
            event=EVENTS.get(message.event, f'event {message.event}'),
            published_wall_s=time_ns(message.published) * 1e-9,
            loaded_wall_s=time_ns(message.stamp) * 1e-9,
            transport=message.transport,
            transfer_s=message.transfer_s,
            reason=message.reason,
        )
        self.fleet.add_event(event)
        if message.event == WeightsStatus.REFUSED:
            _log.warning('%s refused version %d: %s', event.robot_id, event.version, event.reason)

    def _on_robot_status(self, message: Any) -> None:
        names = [name for name in RobotReport.__slots__ if name != 'wall_s']
        fields = {name: getattr(message, name) for name in names}
        self.fleet.add_report(RobotReport(wall_s=time_ns(message.stamp) * 1e-9, **fields))
