"""uploader_node: closed episodes from the spool into the store; the local copy goes once the store has verified it."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from lwd_policy_node.nodes.parameters import Parameter, declare, robot_of
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.places import default_spool, default_store
from rclpy.node import Node

from lwd_recorder.delivery import Uploader, UploaderConfig
from lwd_recorder.nodes.beating import beat_until_stopped
from lwd_recorder.nodes.raw_subscriptions import PolledClock
from lwd_recorder.nodes.status import Level, StatusPublisher, say
from lwd_recorder.spool import Spool, SpoolError, State
from lwd_recorder.store import StoreError, StoreOptions, open_store

_DEFAULT = UploaderConfig()
_STORE = StoreOptions()
_STATUS_PERIOD_S = 1.0
_LEAVE_S = 10.0
_DRAIN_POLL_S = 0.05

PARAMETERS = (
    Parameter('robot_id', str, '', 'Robot; empty: the namespace of the node.'),
    Parameter('spool', str, '', 'Spool folder; empty: $LWD_HOME/robots/<robot_id>/spool.'),
    Parameter(
        'store',
        str,
        '',
        'Folder or s3://bucket/prefix; empty: $LWD_STORE, or else $LWD_HOME/store.',
    ),
    Parameter(
        'keep_committed',
        int,
        _DEFAULT.keep_committed,
        'Newest delivered episodes whose local copy stays while there is room.',
        0,
        1_000_000,
    ),
    Parameter(
        'warn_free_bytes',
        int,
        _DEFAULT.warn_free_bytes,
        'Below this free space the local copies of all delivered episodes go, oldest first, bytes.',
        0,
        1 << 44,
    ),
    Parameter(
        'min_free_bytes',
        int,
        _DEFAULT.min_free_bytes,
        'Below this free space the recorder begins no episode; as its own min_free_bytes, bytes.',
        0,
        1 << 44,
    ),
    Parameter(
        'part_bytes',
        int,
        _STORE.part_bytes,
        'Files above this size are sent in parts of it; S3 takes no less than 5 MiB, bytes.',
        5 << 20,
        1 << 30,
    ),
    Parameter(
        'max_bytes_per_s',
        float,
        0.0,
        'Most bytes that leave in a second; 0 = no cap, 1/s.',
        0.0,
        1e10,
    ),
    Parameter(
        'connect_timeout_s',
        float,
        _STORE.connect_timeout_s,
        'For a connection to S3, s.',
        0.1,
        600.0,
    ),
    Parameter(
        'read_timeout_s',
        float,
        _STORE.read_timeout_s,
        'Silence of S3 that counts as failed, s.',
        0.1,
        3600.0,
    ),
    Parameter(
        'poll_s', float, _DEFAULT.poll_s, 'Interval of looking into the spool, s.', 0.01, 60.0
    ),
    Parameter(
        'backoff_min_s',
        float,
        _DEFAULT.backoff_min_s,
        'First pause after a failure, s.',
        0.0,
        60.0,
    ),
    Parameter('backoff_max_s', float, _DEFAULT.backoff_max_s, 'Longest pause, s.', 0.1, 3600.0),
    Parameter(
        'drain_s',
        float,
        3.0,
        'Time to deliver the last episodes after the signal to stop, s.',
        0.0,
        600.0,
    ),
    Parameter(
        'concurrency', int, _DEFAULT.concurrency, 'Episodes under way at the same time.', 1, 16
    ),
)


class UploaderNode(Node):
    """Runs an Uploader in threads of its own and reports how it does."""

    beat_s = 0.1

    def __init__(self) -> None:
        super().__init__('uploader_node')
        values = declare(self, PARAMETERS)
        robot_id = robot_of(self, values['robot_id'])
        spool_root = Path(values['spool'] or default_spool(robot_id))
        options = StoreOptions(
            **{name: values[name] for name in StoreOptions.__dataclass_fields__}
        )
        store = open_store(values['store'] or default_store(), options)
        self._drain_s = values['drain_s']
        self._spool = Spool(spool_root)
        config = UploaderConfig(
            **{name: values[name] for name in UploaderConfig.__dataclass_fields__}
        )
        self._uploader = Uploader(spool_root, store, config, self._log)
        self._thread = threading.Thread(target=self._uploader.run, name='uploader', daemon=True)
        self._thread.start()
        self._status = StatusPublisher(self, f'{robot_id}: uploader', store.uri)
        self._clock_input = PolledClock(self)
        self._next_status_s = 0.0
        self.get_logger().info(f'uploading {spool_root} to {store.uri}')

    def beat(self) -> None:
        """Report once a second; the uploader has its own threads."""
        self._clock_input.poll()
        if time.monotonic() >= self._next_status_s:
            self._next_status_s = time.monotonic() + _STATUS_PERIOD_S
            self._publish_status()

    def finish(self) -> None:
        """Give the episode that the recorder closes right now its chance; the rest goes on at the next start."""
        failures = self._uploader.totals.failures
        give_up_s = time.monotonic() + self._drain_s
        waiting = (State.OPEN, State.CLOSED, State.UPLOADING)
        try:
            while time.monotonic() < give_up_s and self._spool.entries(*waiting):
                if self._uploader.totals.failures > failures:
                    break
                time.sleep(_DRAIN_POLL_S)
        except SpoolError as error:
            say(self, 'error', str(error))
        self._uploader.stop()
        self._thread.join(_LEAVE_S)
        self._spool.close()

    def _log(self, level: str, text: str) -> None:
        say(self, level, text)

    def _publish_status(self) -> None:
        totals = self._uploader.totals
        level, text = Level.OK, f'{totals.committed} episodes delivered'
        if totals.room is not None and totals.room.level != 'ok':
            level, text = Level.WARN, totals.room.text
        if totals.last_error:
            level, text = Level.WARN, totals.last_error
        if not self._thread.is_alive():
            raise RuntimeError('the upload workers have died; their error is in the log above')
        try:
            backlog = self._spool.backlog()
        except SpoolError as error:
            level, text, backlog = Level.ERROR, str(error), -1
        self._status.publish(
            level,
            text,
            {
                'backlog': str(backlog),
                'committed': str(totals.committed),
                'already': str(totals.already),
                'quarantined': str(totals.quarantined),
                'failures': str(totals.failures),
                'sent_bytes': str(totals.sent_bytes),
                'free_bytes': '' if totals.room is None else str(totals.room.free_bytes),
            },
        )


def _start() -> UploaderNode:
    """Return the node.

    Raises:
        StartError: its spool or store cannot be used.
    """
    try:
        return UploaderNode()
    except (SpoolError, StoreError, OSError, ValueError) as error:
        raise StartError(str(error)) from error


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; the last episodes are delivered first."""
    return run_node(_start, args, run=beat_until_stopped)


if __name__ == '__main__':
    sys.exit(main())
