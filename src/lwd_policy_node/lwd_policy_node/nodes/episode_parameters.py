"""Parameters of episode_node."""

from __future__ import annotations

from lwd_policy_node.episode.machine import SUCCESS_HOLD_S
from lwd_policy_node.episode.record import KINDS
from lwd_policy_node.nodes.parameters import Parameter

PARAMETERS = (
    Parameter('robot_id', str, '', "Name of the robot; empty: the node's namespace."),
    Parameter(
        'simulator',
        bool,
        False,
        'A simulator belongs to the robot: no episode starts before its sim/reset is found. False: one that is found '
        'is used, and a robot without one is taken for real.',
    ),
    Parameter(
        'auto',
        bool,
        False,
        'Start one simulated episode after another; set it to false to stop after this one.',
        read_only=False,
    ),
    Parameter('tasks', list[str], ['restock'], 'Tasks that take turns in auto mode.'),
    Parameter(
        'seed',
        int,
        0,
        'Seed of the first scene, counting up by one; 0: a block of its own made from robot_id.',
        low=0,
    ),
    Parameter('kind', str, 'rollout', 'Kind of the episodes started here.', choices=KINDS),
    Parameter('max_episodes', int, 0, 'Auto mode stops after so many episodes; 0: never.', low=0),
    Parameter('pause_s', float, 0.3, 'Pause between episodes (wall clock, s).', 0.0, 3600.0),
    Parameter(
        'success_hold_s',
        float,
        SUCCESS_HOLD_S,
        "The simulator's success counts once it held this long (robot clock, s).",
        0.0,
        60.0,
    ),
    Parameter(
        'time_limit_s',
        float,
        0.0,
        'An episode longer than this (s; simulated time, or on a real robot a clock that is never set) is a failure by '
        "timeout; 0: the simulator's own limit, none on a real robot.",
        0.0,
        86400.0,
    ),
    Parameter(
        'wait_for_recorder',
        bool,
        True,
        'A recorder belongs to the robot: in auto mode wait until it is ready, then until it closed the last episode; '
        'say so if it does not record the one under way.',
    ),
    Parameter(
        'recorder_timeout_s',
        float,
        5.0,
        'Longest wait for the recorder (wall clock, s).',
        0.0,
        600.0,
    ),
    Parameter(
        'recording_timeout_s',
        float,
        3.0,
        'An episode that the recorder has not acknowledged for this long (wall clock, s) is reported as not recorded.',
        0.1,
        600.0,
    ),
    Parameter(
        'wait_for_policy_s',
        float,
        0.0,
        'In auto mode, wait this long after start (wall clock, s) for weights to be active.',
        0.0,
        3600.0,
    ),
    Parameter(
        'reset_timeout_s',
        float,
        10.0,
        'Longest wait for the simulator to build a scene (wall clock, s).',
        0.1,
        600.0,
    ),
    Parameter(
        'swap_timeout_s',
        float,
        5.0,
        'Weights that are being swapped in keep an episode from starting this long at most (wall clock, s): '
        'their policy may have died.',
        0.0,
        600.0,
    ),
    Parameter('retry_s', float, 1.0, 'Pause after a failed start (wall clock, s).', 0.0, 600.0),
    Parameter(
        'sim_silence_s',
        float,
        5.0,
        'An episode whose sim/state is silent this long (wall clock, s) is aborted.',
        0.1,
        600.0,
    ),
    Parameter(
        'journal',
        str,
        '',
        'File that survives the process; empty: $LWD_HOME/robots/<robot_id>/episode.json.',
    ),
    Parameter(
        'spool',
        str,
        '',
        'Folder whose free space is reported; empty: $LWD_HOME/robots/<robot_id>/spool.',
    ),
)
