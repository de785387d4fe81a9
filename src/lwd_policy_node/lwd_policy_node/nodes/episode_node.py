"""Start and end episodes: by service, simulator, time limit; or one after another by itself.

Writes episode, episode/alive and /lwd/robot_status; serves episode/start and episode/end. In a simulation it calls
sim/reset first; an episode begins at the first sim/state of the new scene, so that nothing observed
in the old one belongs to it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Empty, String

from lwd_msgs.msg import Episode, SimState
from lwd_msgs.srv import EndEpisode, StartEpisode
from lwd_policy_node.episode import (
    EpisodeError,
    EpisodeJournal,
    EpisodeMachine,
    EpisodeRecord,
    JournalEntry,
    JournalLock,
    Outcome,
    RecordingWatch,
    SceneSequence,
    WeightsSwap,
    first_seed,
)
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.control_loop import ControlLoop
from lwd_policy_node.nodes.episode_message import episode_message
from lwd_policy_node.nodes.episode_parameters import PARAMETERS
from lwd_policy_node.nodes.parameters import declare, on_change, robot_of
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.nodes.robot_status import RobotStatusReporter
from lwd_policy_node.nodes.scene_reset import PendingStart, SceneReset, SceneTick
from lwd_policy_node.nodes.wire import seconds
from lwd_policy_node.places import default_spool, robot_home
from lwd_policy_node.stop_signal import StopSignal

WALL_TICK_S = 0.05  # how often waits are looked at
BEAT_S = 0.5  # between two signs of life
LOOK_FOR_RECORDER_S = 1.0  # how often it is asked whether there is a recorder
FAREWELL_S = 1.0  # longest that a leaving node waits for all to hear how its episode ended
DISCOVERY_S = 1.0  # after a restart: let readers find us before the lost episode is overtaken


class EpisodeNode(Node):
    """Topics and services around `episode.EpisodeMachine` and `episode.SceneSequence`."""

    def __init__(self) -> None:
        """Close what an earlier process left running, then serve, and go on by itself if asked."""
        super().__init__('episode_node')
        self._values = values = declare(self, PARAMETERS)
        self._robot_id = robot_of(self, values['robot_id'])
        self._journal = EpisodeJournal(
            Path(values['journal'] or robot_home(self._robot_id) / 'episode.json')
        )
        try:
            self._lock = JournalLock(self._journal.path)
        except EpisodeError as error:
            raise StartError(str(error)) from error
        self._machine = EpisodeMachine(self._robot_id, success_hold_s=values['success_hold_s'])
        self._sim_seen_s = 0.0
        self._sim_at: SceneTick | None = None
        self._in_sim = False
        self._on_sim_time = self.get_parameter('use_sim_time').value

        self._out = self.create_publisher(Episode, 'episode', qos.EPISODE)
        self._alive_out = self.create_publisher(Empty, 'episode/alive', qos.HEARTBEAT)
        self._beat_at_s = -math.inf
        self._swap = WeightsSwap(values['swap_timeout_s'])
        spool = Path(values['spool'] or default_spool(self._robot_id))
        self._recording = RecordingWatch(
            values['recording_timeout_s'] if values['wait_for_recorder'] else math.inf
        )
        self._look_for_recorder_s = 0.0
        self._inputs = PolledInputs(self)  # 30 Hz and more: read at the wall tick
        self._status = RobotStatusReporter(
            self, self._inputs, self._robot_id, self._machine, self._swap, spool
        )
        entry, wrong = self._journal.read()
        if wrong:
            self.get_logger().warning(wrong)
        self._sequence = self._make_sequence(entry.scenes)
        self._close_lost(entry.running)

        self._scene = SceneReset(self, self._fail)
        # Behind who drives: a success must not be told before the take-over that led to it.
        self._inputs.add(SimState, 'sim/state', self._on_sim_state, qos.SIM_STATE)
        self.create_subscription(
            String,
            'recorder/closed',
            lambda message: self._sequence.closed(message.data),
            qos.RECORDER_STATE,
        )
        self.create_subscription(
            String,
            'recorder/recording',
            lambda message: self._recording.acknowledged(message.data),
            qos.RECORDER_STATE,
        )
        group = ReentrantCallbackGroup()
        self.create_service(StartEpisode, 'episode/start', self._on_start, callback_group=group)
        self.create_service(EndEpisode, 'episode/end', self._on_end)
        on_change(self, PARAMETERS, self._values.update)
        self._policy_wait_until_s = time.monotonic() + values['wait_for_policy_s']
        self._loop = ControlLoop(self, WALL_TICK_S, self._on_wall_tick, on_wall=True)

    def run(self, executor: Executor, stopping: StopSignal) -> None:
        """Tick until the process is asked to leave; an episode under way ends with it."""
        self._loop.run(executor, stopping.is_set)
        if self._machine.running is not None:
            now_s = self.get_clock().now().nanoseconds * 1e-9
            self._finish(self._machine.end(Outcome.ABORTED, 'shutdown', now_s))
            with suppress(rclpy_implementation.RCLError):  # a middleware that does not tell
                self._out.wait_for_all_acked(Duration(seconds=FAREWELL_S))

    def destroy_node(self) -> None:
        """Leave the journal to the next process as well."""
        super().destroy_node()
        self._lock.close()

    def _make_sequence(self, scenes: int) -> SceneSequence:
        values = self._values
        try:
            return SceneSequence(
                tuple(values['tasks']),
                seed=values['seed'] or first_seed(self._robot_id),
                scenes=scenes,
                max_episodes=values['max_episodes'],
                pause_s=values['pause_s'],
                recorder_timeout_s=values['recorder_timeout_s'],
                wait_for_recorder=values['wait_for_recorder'],
            )
        except ValueError as error:
            raise StartError(str(error)) from error

    def _close_lost(self, lost: EpisodeRecord | None) -> None:
        if lost is None:
            self._out.publish(Episode(state=Episode.IDLE, robot_id=self._robot_id))
            return
        record = self._machine.adopt_lost(lost)
        self.get_logger().warning(f'{record.episode_id} was left running: closed as aborted')
        self._publish(record)
        self._sequence.wait_closed(record.episode_id, time.monotonic(), DISCOVERY_S)

    # Starting -----------------------------------------------------------------------------------

    async def _on_start(
        self, request: StartEpisode.Request, reply: StartEpisode.Response
    ) -> StartEpisode.Response:
        task = request.task or self._values['tasks'][0]
        kind = request.kind or self._values['kind']
        result = await self._begin(task, request.instruction, kind, request.seed)
        reply.ok = isinstance(result, EpisodeRecord)
        if reply.ok:
            reply.episode_id = result.episode_id
        else:
            reply.message = str(result)
        return reply

    def _begin(self, task: str, instruction: str, kind: str, seed: int) -> Future:
        """Build the scene and start; the future gives the record or the text why not."""
        done = Future()
        try:
            self._machine.check_startable(kind)
        except EpisodeError as error:
            done.set_result(str(error))
            return done
        if self._scene.pending is not None:
            done.set_result(
                'an episode is about to start; wait for it, or call it off by episode/end with outcome 3 (aborted)'
            )
            return done
        if version := self._swap.under_way(time.monotonic()):
            done.set_result(
                f'weights version {version} are being swapped in; try again in a moment'
            )
            return done
        in_sim = self._scene.is_ready()
        if not in_sim and (self._values['simulator'] or self._sim_at is not None):
            done.set_result(
                'the simulator is not found at sim/reset; try again in a moment, or look whether sim_node runs'
            )
            return done
        self._in_sim = in_sim
        if in_sim and not seed:
            seed = self._sequence.draw(task).seed
        self._scene.pending = PendingStart(
            task=task,
            instruction=instruction,
            kind=kind,
            seed=seed,
            time_limit_s=self._values['time_limit_s'],
            give_up_s=time.monotonic() + self._values['reset_timeout_s'],
            done=done,
            before=self._sim_at,
        )
        if in_sim:
            self._scene.ask()
        else:
            self._start(self.get_clock().now().nanoseconds * 1e-9)
        return done

    def _start(self, now_s: float) -> None:
        pending = self._scene.take()
        assert pending is not None
        record = self._machine.start(
            task=pending.task,
            instruction=pending.instruction or pending.task,
            kind=pending.kind,
            seed=pending.seed,
            now_s=now_s,
            wall_s=time.time(),
            time_limit_s=pending.time_limit_s,
            steady_s=self._steady_s(),
        )
        self._publish(record)
        self._sequence.started()
        pending.done.set_result(record)

    def _fail(self, why: str) -> None:
        pending = self._scene.take()
        if pending is None:
            return
        self.get_logger().error(f'no episode of {pending.task}: {why}')
        self._sequence.failed(time.monotonic(), self._values['retry_s'])
        pending.done.set_result(why)

    # Running ------------------------------------------------------------------------------------

    def _on_sim_state(self, message: SimState) -> None:
        self._sim_seen_s = time.monotonic()
        now_s = seconds(message.header.stamp)
        self._sim_at = (message.task, message.seed, message.tick)
        pending = self._scene.pending
        if pending is not None:
            if pending.is_scene(self._sim_at):
                self._start(now_s)
            return
        if (running := self._machine.running) is None:
            return
        if message.seed != running.seed or message.task != running.task:
            self.get_logger().error(
                f'the simulator shows {message.task or "no task"} of seed {message.seed}, not '
                f'{running.task} of seed {running.seed}: the episode is aborted'
            )
            self._finish(self._machine.end(Outcome.ABORTED, 'simulator', now_s))
            return
        if (ended := self._machine.observe(now_s, success=message.success)) is not None:
            self._finish(ended)

    def _on_end(
        self, request: EndEpisode.Request, reply: EndEpisode.Response
    ) -> EndEpisode.Response:
        try:
            outcome = Outcome(request.outcome)
            if self._scene.pending is not None and outcome is Outcome.ABORTED:
                self._fail(f'called off by {request.ended_by or "service"}')
                reply.ok, reply.message = True, 'the start that was pending is called off'
                return reply
            record = self._machine.end(
                outcome,
                request.ended_by or 'service',
                self.get_clock().now().nanoseconds * 1e-9,
            )
        except (ValueError, EpisodeError) as error:
            reply.message = str(error)
            return reply
        self._finish(record)
        reply.ok, reply.episode_id = True, record.episode_id
        return reply

    def _finish(self, record: EpisodeRecord) -> None:
        self._swap.episode_ended(time.monotonic())
        self._publish(record)
        self._sequence.ended(record.episode_id, time.monotonic())
        self.get_logger().info(
            f'{record.episode_id}: {record.outcome.name.lower()} by {record.ended_by} '
            f'after {record.length_s:.1f} s'
        )

    def _on_wall_tick(self) -> None:
        self._inputs.poll()
        wall_s = time.monotonic()
        self._beat(wall_s)
        self._watch_recording(wall_s)
        if self._scene.pending is not None:
            if self._scene.is_overdue():
                self._fail('the simulator did not answer in time')
            return
        if self._machine.running is not None:
            self._watch(wall_s)
            return
        if not self._values['auto'] or not self._policy_ready(wall_s):
            return
        if (
            not self._scene.is_ready()
            or not self._recorder_ready()
            or self._swap.under_way(wall_s)
        ):
            return
        if (scene := self._sequence.due(wall_s)) is not None:
            self._begin(scene.task, '', self._values['kind'], scene.seed)

    def _beat(self, wall_s: float) -> None:
        """Tell the arbiter that episodes are looked after, from the very loop that does."""
        if wall_s - self._beat_at_s >= BEAT_S:
            self._beat_at_s = wall_s
            self._alive_out.publish(Empty())

    def _watch(self, wall_s: float) -> None:
        now_s = self.get_clock().now().nanoseconds * 1e-9
        if not self._in_sim:
            ended = self._machine.observe(now_s, success=False, steady_s=self._steady_s())
        elif wall_s - self._sim_seen_s > self._values['sim_silence_s']:
            self.get_logger().error('sim/state fell silent: the episode is aborted')
            ended = self._machine.end(Outcome.ABORTED, 'simulator', now_s)
        else:
            ended = None
        if ended is not None:
            self._finish(ended)

    def _steady_s(self) -> float | None:
        """The clock of time limits where time is not simulated: the robot's may be set in mid-episode."""
        return None if self._in_sim or self._on_sim_time else time.monotonic()

    def _watch_recording(self, wall_s: float) -> None:
        running = self._machine.running
        if running and wall_s >= self._look_for_recorder_s:
            self._look_for_recorder_s = wall_s + LOOK_FOR_RECORDER_S
            if not self.count_publishers(
                'recorder/recording'
            ):  # what a dead one said holds no more
                self._recording.acknowledged('')
        trouble = self._recording.trouble(running.episode_id if running else '', wall_s)
        self._status.recording_trouble = trouble
        if trouble:
            self.get_logger().error(trouble, throttle_duration_sec=10.0)

    def _policy_ready(self, wall_s: float) -> bool:
        """Weights are active, or waiting for them is over."""
        return self._swap.active > 0 or wall_s >= self._policy_wait_until_s

    def _recorder_ready(self) -> bool:
        if self._status.recorder_ready or not self._values['wait_for_recorder']:
            return True
        self.get_logger().warning(
            'no episode starts before the recorder is ready; without one, set wait_for_recorder to false',
            throttle_duration_sec=10.0,
            skip_first=True,
        )
        return False

    def _publish(self, record: EpisodeRecord) -> None:
        """Say what became of an episode, and keep it on disk: a start before it is said, an end after.

        Whenever the process dies the next one ends what was begun: twice at worst, and never not at all.
        """
        if record.running:
            self._keep(record, JournalEntry(self._sequence.scenes, record))
        self._out.publish(episode_message(record))
        if not record.running:
            self._keep(record, JournalEntry(self._sequence.scenes))

    def _keep(self, record: EpisodeRecord, entry: JournalEntry) -> None:
        """Write the journal; a disk that refuses is said, and stops nothing."""
        try:
            self._journal.write(entry)
        except OSError as error:
            self.get_logger().error(
                f'{record.episode_id}: what became of it is not on disk ({error}); make room'
            )


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run lwd_policy_node episode_node`."""
    return run_node(EpisodeNode, args, run=EpisodeNode.run)


if __name__ == '__main__':
    sys.exit(main())
