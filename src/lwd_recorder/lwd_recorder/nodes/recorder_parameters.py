"""The recorder's parameters: what, where, and how much of everything."""

from __future__ import annotations

from lwd_policy_node.nodes.parameters import Parameter

from lwd_recorder.bag import COMPRESSIONS
from lwd_recorder.recording import RecorderConfig

_DEFAULT = RecorderConfig()
_NO_LIMIT = 1 << 44

PARAMETERS = (
    Parameter('robot_id', str, '', 'Robot; empty: the namespace of the node.'),
    Parameter('profile', str, _DEFAULT.profile, 'Robot profile, by name or path of a YAML.'),
    Parameter(
        'cameras',
        list[str],
        [],
        'Cameras to record: names, or topics (JPEG if they end in /compressed, else raw images); '
        'empty: those of the profile.',
    ),
    Parameter(
        'camera_compression',
        str,
        'none',
        'Compression of chunks of images; JPEG does not shrink.',
        choices=COMPRESSIONS,
    ),
    Parameter('spool', str, '', 'Spool folder; empty: $LWD_HOME/robots/<robot_id>/spool.'),
    Parameter('beat_hz', float, 25.0, 'How often arrived messages are taken, 1/s.', 5.0, 500.0),
    Parameter('preroll_s', float, _DEFAULT.preroll_s, 'Pre-roll, robot clock, s.', 0.0, 60.0),
    Parameter(
        'preroll_limit_bytes',
        int,
        _DEFAULT.preroll_limit_bytes,
        'Most memory of the pre-roll, bytes.',
        0,
        1 << 34,
    ),
    Parameter(
        'postroll_s',
        float,
        _DEFAULT.postroll_s,
        'Wait for late messages, robot clock, s.',
        0.0,
        10.0,
    ),
    Parameter(
        'postroll_wall_s',
        float,
        _DEFAULT.postroll_wall_s,
        'Least wait for late messages, s.',
        0.0,
        10.0,
    ),
    Parameter(
        'postroll_wall_limit_s',
        float,
        _DEFAULT.postroll_wall_limit_s,
        'Longest wait for late messages, s.',
        0.0,
        60.0,
    ),
    Parameter(
        'queue_limit_bytes',
        int,
        _DEFAULT.queue_limit_bytes,
        'Most memory between subscriptions and disk, bytes; beyond it messages are counted as dropped.',
        1 << 20,
        1 << 34,
    ),
    Parameter(
        'max_file_bytes',
        int,
        _DEFAULT.max_file_bytes,
        'A new file of the bag is begun at this size, bytes; 0 = never.',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'max_file_s',
        float,
        _DEFAULT.max_file_s,
        'And after this time, robot clock, s; 0 = never.',
        0.0,
        86400.0,
    ),
    Parameter(
        'flush_s',
        float,
        _DEFAULT.flush_s,
        'What a killed recorder can lose of an episode, s.',
        0.05,
        60.0,
    ),
    Parameter(
        'sync_s',
        float,
        _DEFAULT.sync_s,
        'Pause between two fsyncs in an episode, s.',
        0.05,
        3600.0,
    ),
    Parameter(
        'stall_s',
        float,
        _DEFAULT.stall_s,
        'Silence of a steady topic that is named as a fault, robot clock, s.',
        0.1,
        60.0,
    ),
    Parameter(
        'warn_free_bytes',
        int,
        _DEFAULT.warn_free_bytes,
        'Free disk space below which delivered bags go and a warning comes, bytes.',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'min_free_bytes',
        int,
        _DEFAULT.min_free_bytes,
        'Free disk space below which no new episode is recorded, bytes.',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'last_free_bytes',
        int,
        _DEFAULT.last_free_bytes,
        'Free disk space below which the episode under way is closed as aborted, bytes.',
        0,
        _NO_LIMIT,
    ),
    Parameter(
        'max_episode_s',
        float,
        _DEFAULT.max_episode_s,
        'An episode without an end is closed as aborted after this, robot clock, s.',
        1.0,
        86400.0,
    ),
)
