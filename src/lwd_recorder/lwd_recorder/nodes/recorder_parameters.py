"""The recorder's parameters: what, where, and how much of everything."""

from __future__ import annotations

from lwd_recorder.nodes.parameters import Parameter
from lwd_recorder.recording import RecorderConfig

_DEFAULT = RecorderConfig()
_NO_LIMIT = 1 << 44

PARAMETERS = (
    Parameter('robot_id', '', 'robot; empty = the namespace of the node'),
    Parameter('profile', _DEFAULT.profile, 'robot profile, by name or path of a YAML'),
    Parameter(
        'cameras',
        [''],
        'cameras to record: names, or topics (JPEG if they end in /compressed, else raw images); '
        'empty = those of the profile',
    ),
    Parameter(
        'camera_compression', 'none', 'chunks of images: none, lz4 or zstd; JPEG does not shrink'
    ),
    Parameter('spool', '', 'spool folder; empty = $LWD_HOME/robots/<robot_id>/spool'),
    Parameter('beat_hz', 25.0, 'how often arrived messages are taken, 1/s', 5.0, 500.0),
    Parameter('preroll_s', _DEFAULT.preroll_s, 'pre-roll, robot clock, s', 0.0, 60.0),
    Parameter(
        'preroll_limit_bytes',
        _DEFAULT.preroll_limit_bytes,
        'most memory of the pre-roll, bytes',
        0,
        1 << 34,
    ),
    Parameter(
        'postroll_s', _DEFAULT.postroll_s, 'wait for late messages, robot clock, s', 0.0, 10.0
    ),
    Parameter(
        'postroll_wall_s', _DEFAULT.postroll_wall_s, 'least wait for late messages, s', 0.0, 10.0
    ),
    Parameter(
        'postroll_wall_limit_s',
        _DEFAULT.postroll_wall_limit_s,
        'longest wait for late messages, s',
        0.0,
        60.0,
    ),
    Parameter(
        'queue_limit_bytes',
        _DEFAULT.queue_limit_bytes,
        'most memory between subscriptions and disk, bytes; beyond it messages are counted as dropped',
        1 << 20,
        1 << 34,
    ),
    Parameter(
        'max_file_bytes',
        _DEFAULT.max_file_bytes,
        'a new file of the bag is begun at this size, bytes; 0 = never',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'max_file_s',
        _DEFAULT.max_file_s,
        'and after this time, robot clock, s; 0 = never',
        0.0,
        86400.0,
    ),
    Parameter(
        'flush_s', _DEFAULT.flush_s, 'what a killed recorder can lose of an episode, s', 0.05, 60.0
    ),
    Parameter(
        'sync_s', _DEFAULT.sync_s, 'pause between two fsyncs in an episode, s', 0.05, 3600.0
    ),
    Parameter(
        'stall_s',
        _DEFAULT.stall_s,
        'silence of a steady topic that is named as a fault, robot clock, s',
        0.1,
        60.0,
    ),
    Parameter(
        'warn_free_bytes',
        _DEFAULT.warn_free_bytes,
        'free disk space below which delivered bags go and a warning comes, bytes',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'min_free_bytes',
        _DEFAULT.min_free_bytes,
        'free disk space below which no new episode is recorded, bytes',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'last_free_bytes',
        _DEFAULT.last_free_bytes,
        'free disk space below which the episode under way is closed as aborted, bytes',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'max_episode_s',
        _DEFAULT.max_episode_s,
        'an episode without an end is closed as aborted after this, robot clock, s',
        1.0,
        86400.0,
    ),
)
