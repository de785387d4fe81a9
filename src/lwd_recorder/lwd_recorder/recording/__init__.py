"""The recorder's core: pre-roll, episodes, the writer thread. A node or a test feeds it."""

from lwd_recorder.recording.attachment import Attachment
from lwd_recorder.recording.audit import TopicState
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.facts import EpisodeEnd, EpisodeStart
from lwd_recorder.recording.recorder import Recorder
from lwd_recorder.recording.topics import RecordedTopic, TopicSpec, robot_topics
from lwd_recorder.recording.writer import Notice

__all__ = [
    'Attachment',
    'EpisodeEnd',
    'EpisodeStart',
    'Notice',
    'RecordedTopic',
    'Recorder',
    'RecorderConfig',
    'TopicSpec',
    'TopicState',
    'robot_topics',
]
