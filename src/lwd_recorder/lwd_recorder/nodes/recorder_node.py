"""recorder_node: one durable bag per episode, in the spool.

Log time is the receive time on the robot clock (to one beat), publish time the header stamp. Publishes the
latched topics `recorder/recording` (id of the episode under way, empty between episodes), `recorder/closed` (id of the
last closed episode) and `recorder/backlog` (closed episodes that are not in the store; first published when the robot's
clock is known, so it also says: ready). Calls
`episode/end` for an episode that began before the recorder did, e.g. after a crash: nobody is to work for a
recording that does not exist.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.parameters import declare, robot_of
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.places import default_spool
from lwd_policy_node.profile import ProfileError, load_profile, profile_text
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from std_msgs.msg import String, UInt32

from lwd_msgs.msg import Episode
from lwd_msgs.srv import EndEpisode
from lwd_recorder.bag import SchemaError
from lwd_recorder.manifest import OUTCOMES
from lwd_recorder.nodes.beating import beat_until_stopped
from lwd_recorder.nodes.parameter_survey import ParameterSurvey
from lwd_recorder.nodes.raw_subscriptions import PolledClock, RawSubscriptions
from lwd_recorder.nodes.recorder_parameters import PARAMETERS
from lwd_recorder.nodes.recorder_status import recorder_statuses
from lwd_recorder.nodes.status import StatusPublisher, say
from lwd_recorder.recording import (
    Attachment,
    EpisodeEnd,
    EpisodeStart,
    Notice,
    RecordedTopic,
    Recorder,
    RecorderConfig,
    robot_topics,
)
from lwd_recorder.recording.cdr import CdrError, stamp_ns
from lwd_recorder.recording.topics import EPISODE_TOPIC
from lwd_recorder.recording.versions import software_versions
from lwd_recorder.spool import SpoolError

_STATUS_PERIOD_S = 1.0


class RecorderNode(Node):
    """Feeds a Recorder from raw subscriptions and announces what it closed."""

    def __init__(self) -> None:
        super().__init__('recorder_node')
        values = declare(self, PARAMETERS)
        robot_id = robot_of(self, values['robot_id'])
        spool = Path(values['spool'] or default_spool(robot_id))
        profile, cameras, text = self._profile(values['profile'], values['cameras'])
        self._topics = [
            # Our name, whatever a driver's topics are called: what reads a bag knows ours.
            RecordedTopic(self.resolve_topic_name(spec.name, only_expand=True), spec)
            for spec in robot_topics(cameras, values['camera_compression'])
        ]
        self._episode_index = next(
            i for i, topic in enumerate(self._topics) if topic.spec.name == EPISODE_TOPIC
        )
        known = RecorderConfig.__dataclass_fields__
        config = {name: value for name, value in values.items() if name in known}
        self._recorder = Recorder(
            spool, self._topics, RecorderConfig(**config | {'profile': profile})
        )
        if text:
            self._recorder.attach(Attachment('robot_profile.yaml', 'application/yaml', text))
        self._recorder.attach(Attachment('versions.json', 'application/json', software_versions()))
        self._survey = ParameterSurvey(self, self._attach_parameters)
        self._recording = self.create_publisher(String, 'recorder/recording', qos.RECORDER_STATE)
        self._acknowledged: str | None = None
        self._closed = self.create_publisher(String, 'recorder/closed', qos.RECORDER_STATE)
        self._backlog = self.create_publisher(UInt32, 'recorder/backlog', qos.RECORDER_STATE)
        self._end_episode = self.create_client(EndEpisode, 'episode/end')
        self._asked = ''
        self._status = StatusPublisher(self, f'{robot_id}: recorder', str(spool))
        for notice in self._recorder.start():
            self._announce(notice)
        self._inputs = RawSubscriptions(self, self._topics, first=self._episode_index)
        self._clock_input = PolledClock(self)
        self._last_backlog = -1
        self._next_status_s = 0.0
        self._stopped: set[str] = set()
        self._now_ns = 0
        self.beat_s = 1.0 / values['beat_hz']
        self.get_logger().info(f'recording {len(self._topics)} topics of {robot_id} into {spool}')

    def finish(self) -> None:
        """Close what is open and announce it."""
        self._inputs.drain(self._take, self._recorder.on_lost)
        for notice in self._recorder.shutdown():
            self._announce(notice)
        self._acknowledge()
        self._recorder.close()

    def beat(self) -> None:
        """Take what has arrived, close what is due, report once a second."""
        self._clock_input.poll()
        self._now_ns = self.get_clock().now().nanoseconds
        self._inputs.drain(self._take, self._recorder.on_lost)
        for notice in self._recorder.poll(self._now_ns):
            self._announce(notice)
        self._acknowledge()
        self._abort_missed()
        self._survey.poll(self._recorder.episode_id)
        stopped = {name for name, _ in self._recorder.stopped()}
        due = time.monotonic() >= self._next_status_s
        if due or stopped != self._stopped:  # what has stopped is named at once
            self._stopped = stopped
            self._next_status_s = time.monotonic() + _STATUS_PERIOD_S
            if self._now_ns > 0:  # the first backlog says: ready to record
                self._publish_backlog()
            self._status.publish_all(recorder_statuses(self._recorder, self._last_backlog))

    def _profile(self, name: str, cameras: list[str]) -> tuple[str, list[str], bytes]:
        """Return the robot profile's name, the cameras, its own unless the parameter has any, and its YAML."""
        wanted = [camera for camera in cameras if camera]
        try:
            profile, text = load_profile(name), profile_text(name)
        except ProfileError as error:
            if not wanted:
                raise
            self.get_logger().warning(f'{error}; it is not attached to bags')
            return name, wanted, b''
        return profile.name, wanted or [camera.topic for camera in profile.cameras], text

    def _attach_parameters(self, text: bytes) -> None:
        self._recorder.attach(Attachment('parameters.yaml', 'application/yaml', text))

    def _take(self, index: int, data: bytes) -> None:
        if index == self._episode_index:
            self._take_episode(data)
            return
        if self._topics[index].spec.shared:
            self._recorder.on_message(index, data, self._now_ns, self._now_ns)
            return
        try:
            stamp = stamp_ns(data)
        except CdrError as error:
            self.get_logger().error(
                f'{self._topics[index].name}: {error}', throttle_duration_sec=5.0
            )
            return
        self._recorder.on_message(index, data, self._now_ns, stamp)

    def _take_episode(self, data: bytes) -> None:
        message = deserialize_message(data, Episode)
        if message.state == Episode.RUNNING:
            start = EpisodeStart(
                episode_id=message.episode_id,
                robot_id=message.robot_id,
                task=message.task,
                instruction=message.instruction,
                kind=message.kind,
                seed=message.seed,
                started_ns=message.started.sec * 1_000_000_000 + message.started.nanosec,
                data=data,
            )
            self._recorder.on_start(start, self._now_ns)
        elif message.state == Episode.ENDED:
            known = message.outcome < len(OUTCOMES)
            end = EpisodeEnd(
                ended_ns=message.ended.sec * 1_000_000_000 + message.ended.nanosec,
                outcome=OUTCOMES[message.outcome] if known else 'unknown',
                ended_by=message.ended_by,
                note='' if known else f'outcome {message.outcome} is not known to this recorder',
            )
            self._recorder.on_end(message.episode_id, end, data, self._now_ns)
        else:
            self._recorder.on_idle(self._now_ns)

    def _announce(self, notice: Notice) -> None:
        say(self, notice.level, notice.text)
        if notice.closed:
            self._publish_backlog()
            self._closed.publish(String(data=notice.closed))

    def _acknowledge(self) -> None:
        """Say which episode is recorded, whenever that changes."""
        if self._recorder.episode_id != self._acknowledged:
            self._acknowledged = self._recorder.episode_id
            self._recording.publish(String(data=self._acknowledged))

    def _abort_missed(self) -> None:
        """Ask once an episode, while it is under way, as soon as the episode node is there to hear it."""
        missed = self._recorder.missed
        if missed and missed != self._asked and self._end_episode.service_is_ready():
            self._asked = missed
            self._end_episode.call_async(
                EndEpisode.Request(outcome=Episode.OUTCOME_ABORTED, ended_by='recorder')
            )

    def _publish_backlog(self) -> None:
        try:
            backlog = self._recorder.spool.backlog()
        except (SpoolError, OSError) as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        if backlog != self._last_backlog:
            self._last_backlog = backlog
            self._backlog.publish(UInt32(data=backlog))


def _start() -> RecorderNode:
    """Return the node.

    Raises:
        StartError: its spool cannot be used, or the definition of a recorded type is not found.
    """
    try:
        return RecorderNode()
    except (SpoolError, SchemaError, OSError, ValueError) as error:
        raise StartError(str(error)) from error


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; an episode under way is then closed as aborted."""
    return run_node(_start, args, run=beat_until_stopped)


if __name__ == '__main__':
    sys.exit(main())
