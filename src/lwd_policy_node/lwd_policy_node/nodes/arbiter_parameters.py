"""Parameters of arbiter_node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from lwd_policy_node.control import ArbiterConfig
from lwd_policy_node.control.workspace import Box
from lwd_policy_node.nodes.parameters import Parameter

# The profile's limits are those a planner of the real robot keeps. Simulated arms follow faster, and
# the steps of a policy small enough for a laptop are rougher: at 1 the filter would smooth them into
# a lag that spoils its grasps, at 3 it leaves them as they are.
SIMULATED_ACCELERATION_SCALE = 3.0

# Looked at twice a period: a policy that is stopped is held within two, with 3 ms to spare at 30 Hz.
POLICY_TIMEOUT_PERIODS = 1.4

_DEFAULTS = ArbiterConfig()
_BOX = (
    'Box that the {} gripper stays in: lowest x, y, z, then highest, m, in arm_base_link (x forward, '
    'y left, z up); all 0 = none.'
)
PARAMETERS = (
    Parameter('profile', str, 'g1', 'Robot profile: g1, g1_laptop, or a path to a .yaml.'),
    Parameter(
        'control_rate_hz',
        float,
        0.0,
        "Control rate, Hz; 0 = the profile's. Limits are kept for the profile's rate.",
        0.0,
        1000.0,
    ),
    Parameter(
        'joint_state_timeout_s',
        float,
        _DEFAULTS.joint_state_timeout_s,
        'joint_states older than this (robot clock, s): come to rest, then send no joint_command until they are back.',
        0.001,
        10.0,
    ),
    Parameter(
        'teleop_timeout_s',
        float,
        _DEFAULTS.teleop_timeout_s,
        'A teleop command older than this (robot clock, s) hands back; one that is so old already when it arrives is '
        'refused.',
        0.001,
        10.0,
    ),
    Parameter(
        'policy_timeout_s',
        float,
        0.0,
        'No sign of life from policy_node for this long (wall clock, s): hold, at most half a control period later; '
        f'0 = {POLICY_TIMEOUT_PERIODS:g} control periods.',
        0.0,
        10.0,
    ),
    Parameter(
        'policy_busy_s',
        float,
        _DEFAULTS.policy_busy_s,
        'How long policy_node may be without a sign of life (wall clock, s) while its middleware answers, as during an '
        'inference that leaves its other threads no time; then hold. 0 = no longer than policy_timeout_s.',
        0.0,
        10.0,
    ),
    Parameter(
        'episode_timeout_s',
        float,
        _DEFAULTS.episode_timeout_s,
        'No sign of life from episode_node for this long (wall clock, s) while an episode runs: the policy is held; '
        '0 = it is not waited for.',
        0.0,
        60.0,
    ),
    Parameter(
        'max_observation_age_s',
        float,
        _DEFAULTS.max_observation_age_s,
        'A chunk whose observation is older than this (robot clock, s) is not executed.',
        0.001,
        60.0,
    ),
    Parameter(
        'future_tolerance_s',
        float,
        _DEFAULTS.future_tolerance_s,
        'Stamps further ahead of the robot clock than this (s) are refused.',
        0.0,
        60.0,
    ),
    Parameter(
        'blend_s',
        float,
        _DEFAULTS.blend_s,
        "A new source's first commands are blended from the last executed one, s; 0 = no blend.",
        0.0,
        5.0,
    ),
    Parameter(
        'acceleration_scale',
        float,
        0.0,
        "Multiplies the profile's acceleration limits; 0: 1 on a real robot, "
        f'{SIMULATED_ACCELERATION_SCALE:g} under use_sim_time.',
        0.0,
        1000.0,
    ),
    Parameter(
        'velocity_scale',
        float,
        _DEFAULTS.velocity_scale,
        "Multiplies the profile's velocity limits, whoever commands; below 1 for the first motions of a real robot.",
        0.01,
        1.0,
    ),
    Parameter(
        'simulation_slack',
        float,
        3.0,
        'Under use_sim_time the time-outs are multiplied by this: simulated time may run faster '
        'than the wall, by which processes are scheduled.',
        1.0,
        100.0,
    ),
    Parameter('workspace_left', list[float], [0.0] * 6, _BOX.format('left')),
    Parameter('workspace_right', list[float], [0.0] * 6, _BOX.format('right')),
    Parameter(
        'realtime_priority',
        int,
        20,
        'SCHED_FIFO priority of the process, where the system permits it; 0 = ordinary scheduling.',
        0,
        99,
    ),
    Parameter(
        'reseed_error_rad',
        float,
        _DEFAULTS.reseed_error_rad,
        'Between episodes, at their start, and when joint_states come back: a joint further from its target than this '
        '(rad) means the robot was moved; its target is taken from the measured position.',
        0.001,
        10.0,
    ),
)


def arbiter_config(
    values: Mapping[str, Any], *, period_s: float, simulated: bool
) -> ArbiterConfig:
    """The core's configuration from the values of `PARAMETERS`, for a control period.

    Raises:
        ValueError: a workspace of other than six values.
    """
    names = [field.name for field in fields(ArbiterConfig) if field.name != 'workspace']
    config = ArbiterConfig(**{name: values[name] for name in names}, workspace=_boxes(values))
    if config.acceleration_scale == 0.0:
        scale = SIMULATED_ACCELERATION_SCALE if simulated else 1.0
        config = replace(config, acceleration_scale=scale)
    if config.policy_timeout_s == 0.0:
        config = replace(config, policy_timeout_s=POLICY_TIMEOUT_PERIODS * period_s)
    if not simulated:
        return config
    slack = values['simulation_slack']
    return replace(
        config,
        joint_state_timeout_s=config.joint_state_timeout_s * slack,
        teleop_timeout_s=config.teleop_timeout_s * slack,
        policy_timeout_s=config.policy_timeout_s * slack,
        policy_busy_s=config.policy_busy_s * slack,
        episode_timeout_s=config.episode_timeout_s * slack,
    )


def _boxes(values: Mapping[str, Any]) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    for side in ('left', 'right'):
        corners = values[f'workspace_{side}']
        if len(corners) != 6:
            raise ValueError(f'workspace_{side} has {len(corners)} values, a box has 6')
        if any(corners):
            boxes[side[0]] = (corners[:3], corners[3:])
    return boxes
