"""Episodes: when one begins, when it ends and with which label. No ROS."""

from lwd_policy_node.episode.journal import EpisodeJournal, JournalEntry
from lwd_policy_node.episode.lock import JournalLock
from lwd_policy_node.episode.machine import SUCCESS_HOLD_S, EpisodeError, EpisodeMachine
from lwd_policy_node.episode.record import EpisodeRecord, Outcome, new_episode_id
from lwd_policy_node.episode.recording_watch import RecordingWatch
from lwd_policy_node.episode.sequence import Scene, SceneSequence, first_seed
from lwd_policy_node.episode.swap import WeightsSwap

__all__ = [
    'SUCCESS_HOLD_S',
    'EpisodeError',
    'EpisodeJournal',
    'EpisodeMachine',
    'EpisodeRecord',
    'JournalEntry',
    'JournalLock',
    'Outcome',
    'RecordingWatch',
    'Scene',
    'SceneSequence',
    'WeightsSwap',
    'first_seed',
    'new_episode_id',
]
