"""policy_node's parameters, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lwd_policy_node.inference import Ensemble, Planner
from lwd_policy_node.nodes.parameters import Parameter
from lwd_policy_node.nodes.weights_fetch import WeightsOptions
from lwd_policy_node.profile import RobotProfile, policy_facts

PARAMETERS = (
    Parameter('robot_id', str, '', 'Name of the robot; empty: the namespace without its slash.'),
    Parameter(
        'autostart',
        bool,
        True,
        'Configure and activate without being asked; false: wait for change_state, as lifecycle nodes do.',
    ),
    Parameter('profile', str, 'g1_laptop', 'Robot profile: a known name or a path to a YAML.'),
    Parameter('episode_kinds', list[str], ['rollout'], 'Episode kinds in which the policy plans.'),
    Parameter('seed', int, 0, 'First seed of the noise that chunks are drawn from.', low=0),
    Parameter(
        'frozen_steps',
        int,
        0,
        'Real-time chunking: leading steps copied from the previous chunk; 0 = off.',
        low=0,
        high=64,
    ),
    Parameter(
        'ensemble_chunks',
        int,
        0,
        'Temporal ensembling: chunks that a target is averaged over; 0 = off. Not with frozen_steps.',
        low=0,
        high=64,
    ),
    Parameter(
        'ensemble_decay',
        float,
        0.01,
        'Temporal ensembling: the i-th oldest chunk weighs exp(-decay * i).',
        low=-10.0,
        high=10.0,
    ),
    Parameter(
        'late_after_s',
        float,
        0.5,
        'Robot time without a message after which a stream is reported late, s; at most (horizon - replan_steps) / '
        'control_rate_hz of the profile and a camera period: later ones make no plans that can be executed.',
        low=0.01,
        high=60.0,
    ),
    Parameter(
        'failures_to_roll_back',
        int,
        3,
        'Failed inferences in a row after which the previous weights come back.',
        low=1,
        high=1000,
    ),
    Parameter('follow_weights', bool, True, 'Take the weights that the learner announces.'),
    Parameter(
        'weights_dir',
        str,
        '',
        'Folder of the weights kept; empty: $LWD_HOME/robots/<robot_id>/weights.',
    ),
    Parameter(
        'heartbeat_priority',
        int,
        10,
        'SCHED_FIFO priority of heartbeat and middleware, not of the inference, where the system permits it; '
        '0 = ordinary scheduling.',
        0,
        99,
    ),
    Parameter('weights_kept', int, 3, 'Versions kept on disk.', low=1, high=100),
    Parameter('trusted_keys', str, '', 'A .pub file or a folder of them; empty: $LWD_HOME/keys.'),
    Parameter(
        'transport',
        str,
        'service',
        'How files are pulled: from the learner, or from the announced URIs (file, http, s3) first.',
        choices=('service', 'uri'),
    ),
    Parameter(
        'config_hash',
        str,
        '',
        'The only policy configuration taken (sha256 hex); empty: every one that fits the robot.',
    ),
    Parameter(
        'piece_bytes',
        int,
        1 << 20,
        'Bytes asked for at a time; the learner sends 4 MiB at most.',
        low=1024,
        high=4 << 20,
    ),
    Parameter(
        'answer_timeout_s', float, 3.0, 'Wall time to wait for a piece, s.', low=0.1, high=600.0
    ),
    Parameter(
        'retry_s', float, 1.0, 'Wall time before a silent learner is asked again, s.', low=0.01
    ),
)


def make_planner(profile: RobotProfile, values: Mapping[str, Any]) -> Planner:
    """The planner that the values of `PARAMETERS` ask for.

    Raises:
        ValueError: they exclude each other.
    """
    ensemble = None
    if values['ensemble_chunks']:
        ensemble = Ensemble(
            values['ensemble_chunks'], values['ensemble_decay'], profile.control_period_s
        )
    return Planner(
        profile, seed=values['seed'], frozen_steps=values['frozen_steps'], ensemble=ensemble
    )


def weights_options(
    values: Mapping[str, Any], robot_id: str, profile: RobotProfile, home: Path
) -> WeightsOptions:
    """How this robot takes weights; keys are in `home` unless the values say where."""
    return WeightsOptions(
        robot_id=robot_id,
        trusted_keys=Path(values['trusted_keys'] or home / 'keys'),
        transport=values['transport'],
        config_hash=values['config_hash'],
        piece_bytes=values['piece_bytes'],
        answer_timeout_s=values['answer_timeout_s'],
        retry_s=values['retry_s'],
        robot=policy_facts(profile),
        chunk_shape=(profile.horizon, len(profile.joints)),
    )
