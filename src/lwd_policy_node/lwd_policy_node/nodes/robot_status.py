"""One robot at a glance: gather what its nodes say; publish `/lwd/robot_status` and a diagnostic at 1 Hz."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import UInt32

from lwd_msgs.msg import ControlMode, Episode, RobotStatus, WeightsStatus
from lwd_policy_node.episode import EpisodeMachine, WeightsSwap
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.wire import stamp_of

PERIOD_S = 1.0
SILENT_AFTER_S = 3.5  # the arbiter repeats its mode once a second of wall clock


class RobotStatusReporter:
    """Subscribes on behalf of `node` and reports once a second of wall clock."""

    def __init__(
        self,
        node: Node,
        inputs: PolledInputs,
        robot_id: str,
        machine: EpisodeMachine,
        swap: WeightsSwap,
        spool: Path,
    ) -> None:
        """Keep `machine` and `swap` up to date, and report on `robot_id` and the file system that holds `spool`.

        Who drives is read with `inputs`, before what is added to them later.
        """
        self._machine = machine
        self._swap = swap
        self._spool = spool
        self._status = RobotStatus(robot_id=robot_id)
        self._out = node.create_publisher(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
        inputs.add(ControlMode, 'control_mode', self._on_mode, qos.CONTROL_MODE)
        node.create_subscription(
            WeightsStatus, '/lwd/weights_status', self._on_weights, qos.WEIGHTS_STATUS
        )
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._clock = node.get_clock()
        self._log = node.get_logger()
        self._told_given_up = 0
        self._mode: ControlMode | None = None  # the last that was heard
        self._mode_heard_s = time.monotonic()
        self.recording_trouble = ''
        """Why the episode under way is not recorded; empty: it is, or none runs. Written by the node."""
        self._recorder_heard = False
        node.create_subscription(UInt32, 'recorder/backlog', self._on_backlog, qos.RECORDER_STATE)
        node.create_timer(PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def recorder_ready(self) -> bool:
        """The recorder has said how much waits for upload, which it does once it can record."""
        return self._recorder_heard

    def _on_mode(self, message: ControlMode) -> None:
        last, self._mode = self._mode, message
        human = message.mode == ControlMode.HUMAN
        if last is None:
            spells = int(human)
        elif message.episode_id in ('', last.episode_id):
            spells = message.takeovers - last.takeovers
        else:  # the arbiter counts anew, with a spell that is under way
            spells = message.takeovers - (last.mode == ControlMode.HUMAN)
        self._status.takeovers += max(spells, 0)
        self._status.mode = message.mode
        self._mode_heard_s = time.monotonic()
        helped = message.episode_id if message.takeovers else ''
        self._machine.control(human=human, helped=helped)

    def _on_weights(self, message: WeightsStatus) -> None:
        if message.robot_id != self._status.robot_id:
            return
        if message.event == WeightsStatus.LOADED:
            self._swap.loaded(message.version, time.monotonic())
        elif message.event == WeightsStatus.ACTIVE:
            self._swap.in_use(message.version)
        elif message.event == WeightsStatus.ROLLED_BACK:
            self._swap.gone_back_from(message.version)

    def _on_backlog(self, message: UInt32) -> None:
        self._recorder_heard = True
        self._status.backlog = message.data

    def _report(self) -> None:
        status = self._status
        self._tell_given_up()
        if time.monotonic() - self._mode_heard_s > SILENT_AFTER_S:
            status.mode = RobotStatus.MODE_SILENT
        record = self._machine.record
        wall_ns = time.time_ns()
        status.stamp = stamp_of(wall_ns)
        if record is not None:
            status.episode_state = Episode.RUNNING if record.running else Episode.ENDED
            status.episode_id = record.episode_id
            status.task = record.task
            status.instruction = record.instruction
            if not record.running:
                status.last_episode_s = record.length_s
        status.policy_version = self._swap.active
        status.standby_version = self._swap.standby
        status.episodes = self._machine.ended
        status.successes = self._machine.successes
        status.rollouts = self._machine.rollouts
        status.unaided = self._machine.unaided
        status.disk_free_bytes = float(_free_bytes(self._spool))
        status.unrecorded = bool(self.recording_trouble)
        self._out.publish(status)
        self._diagnose()

    def _tell_given_up(self) -> None:
        version, told = self._swap.given_up, self._told_given_up
        self._told_given_up = version
        if version and version != told:
            self._log.warning(
                f'weights version {version} are loaded but did not come into use within swap_timeout_s: episodes go on '
                f'with version {self._swap.active} and wait for them no more; look at policy_node'
            )

    def _diagnose(self) -> None:
        trouble = self.recording_trouble
        silent = self._status.mode == RobotStatus.MODE_SILENT
        running = self._status.episode_id if self._machine.running else 'no episode runs'
        message = DiagnosticArray()
        message.header.stamp = self._clock.now().to_msg()
        message.status = [
            DiagnosticStatus(
                level=DiagnosticStatus.ERROR if trouble else DiagnosticStatus.OK,
                name=f'{self._status.robot_id}/episode_node: episode',
                hardware_id=self._status.robot_id,
                message=trouble or running,
            ),
            DiagnosticStatus(
                level=DiagnosticStatus.ERROR if silent else DiagnosticStatus.OK,
                name=f'{self._status.robot_id}/episode_node: arbiter',
                hardware_id=self._status.robot_id,
                message='silent: nobody moves the robot; look at it, then start it again'
                if silent
                else 'heard',
            ),
        ]
        self._diagnostics.publish(message)


def _free_bytes(path: Path) -> int:
    """Free space where `path` is, or will be; 0 where the disk does not answer."""
    try:
        while not path.exists() and path != path.parent:
            path = path.parent
        return shutil.disk_usage(path).free
    except OSError:
        return 0
