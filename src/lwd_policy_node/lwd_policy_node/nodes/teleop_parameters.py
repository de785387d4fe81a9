"""Parameters of the teleoperation sources; each source declares the tables that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lwd_policy_node.nodes.parameters import Parameter
from lwd_policy_node.teleop.gamepad import OUTCOMES, GamepadMap
from lwd_policy_node.teleop.jog import JogSpeeds
from lwd_policy_node.teleop.keyboard import KeyboardTimes
from lwd_policy_node.teleop.leader import LeaderConfig

_SPEEDS, _MAP, _TIMES, _LEADER = JogSpeeds(), GamepadMap(), KeyboardTimes(), LeaderConfig()


def _index(name: str, default: int, what: str) -> Parameter:
    kind = 'Axis' if name.startswith('joy_axis') else 'Button'
    return Parameter(name, int, default, f'{kind} of Joy, by index: {what}; -1 = none.', -1, 63)


JOG = (
    Parameter('jog_linear_m_s', float, _SPEEDS.linear_m_s, 'Fastest hand, m/s.', 0.001, 1.0),
    Parameter(
        'jog_angular_rad_s',
        float,
        _SPEEDS.angular_rad_s,
        'Fastest turn of a hand, rad/s.',
        0.01,
        3.0,
    ),
    Parameter(
        'jog_gripper_per_s',
        float,
        _SPEEDS.gripper_per_s,
        'Speed of a gripper, strokes/s.',
        0.1,
        10.0,
    ),
    Parameter(
        'jog_joint_rad_s',
        float,
        _SPEEDS.joint_rad_s,
        'Most that an arm joint turns while a hand is jogged, rad/s.',
        0.01,
        3.14,
    ),
)
JOY = (
    Parameter('joy_topic', str, 'joy', 'sensor_msgs/Joy of the gamepad or pedal.'),
    Parameter(
        'joy_timeout_s',
        float,
        0.25,
        'A Joy device silent for longer (wall clock, s) has released its deadman. Drivers repeat at 20 Hz.',
        0.02,
        5.0,
    ),
    Parameter(
        'joy_button_deadman',
        int,
        9,
        'Button of Joy, by index: the deadman, held while the human is in control.',
        0,
        63,
    ),
    _index('joy_button_success', 6, 'ends the episode as a success'),
    _index('joy_button_failure', 4, 'ends the episode as a failure'),
    _index('joy_button_abort', 3, 'ends the episode as aborted'),
)
GAMEPAD = (
    _index('joy_axis_forward', _MAP.axis_forward, 'hand forward; with the rotate button, pitch'),
    _index('joy_axis_left', _MAP.axis_left, 'hand left; with the rotate button, roll'),
    _index('joy_axis_up', _MAP.axis_up, 'hand up'),
    _index('joy_axis_yaw', _MAP.axis_yaw, 'yaw'),
    _index('joy_button_rotate', _MAP.button_rotate, 'while held, the first two axes tip the hand'),
    _index('joy_button_close', _MAP.button_close, 'while held, the gripper closes'),
    _index('joy_button_open', _MAP.button_open, 'while held, the gripper opens'),
    _index('joy_button_left', _MAP.button_left, 'jog the left hand'),
    _index('joy_button_right', _MAP.button_right, 'jog the right hand'),
    _index('joy_button_both', _MAP.button_both, 'jog both hands alike'),
    Parameter(
        'joy_deadzone',
        float,
        _MAP.deadzone,
        'Share of an axis around its middle that counts as rest.',
        0.0,
        0.9,
    ),
)
KEYBOARD = (
    Parameter(
        'keyboard_tap_s',
        float,
        _TIMES.tap_s,
        'A motion key counts for this long after it arrives (wall clock, s).',
        0.02,
        1.0,
    ),
    Parameter(
        'keyboard_hold_s',
        float,
        _TIMES.hold_s,
        'The deadman is released this long after the last key (wall clock, s); '
        'longer than the terminal waits before it repeats a key.',
        0.1,
        5.0,
    ),
)
LEADER = (
    Parameter(
        'leader_topic', str, 'leader/joint_states', 'sensor_msgs/JointState of the leader arm.'
    ),
    Parameter(
        'leader_joint_names',
        list[str],
        list(_LEADER.names),
        "The leader's name of each action joint, in the profile's order; '' = not led; one '' = the profile's names.",
    ),
    Parameter(
        'leader_signs',
        list[float],
        list(_LEADER.signs),
        "Factor of each of the leader's joints, or of all.",
    ),
    Parameter(
        'leader_offsets',
        list[float],
        list(_LEADER.offsets),
        'Added to each joint after the factor, or to all, rad or gripper fraction.',
    ),
    Parameter(
        'leader_tolerance',
        list[float],
        list(_LEADER.tolerance),
        'How far the leader may be from the robot at a takeover, rad: one value for all arm joints, '
        'or one for each action joint.',
    ),
    Parameter(
        'leader_gripper_tolerance',
        float,
        _LEADER.gripper_tolerance,
        'The same for grippers, fraction of the stroke, where leader_tolerance has one value.',
        0.0,
        1.0,
    ),
    Parameter(
        'leader_timeout_s',
        float,
        _LEADER.timeout_s,
        'A leader silent for longer (wall clock, s) is not in control.',
        0.02,
        5.0,
    ),
    Parameter(
        'leader_settle_s',
        float,
        _LEADER.settle_s,
        'What is left between leader and robot at a takeover is worked off in this time, s of the robot clock.',
        0.0,
        10.0,
    ),
)


def jog_speeds(values: Mapping[str, Any]) -> JogSpeeds:
    """The jog's speeds from the values of `JOG`."""
    return JogSpeeds(
        linear_m_s=values['jog_linear_m_s'],
        angular_rad_s=values['jog_angular_rad_s'],
        gripper_per_s=values['jog_gripper_per_s'],
        joint_rad_s=values['jog_joint_rad_s'],
    )


def outcome_buttons(values: Mapping[str, Any]) -> dict[str, int]:
    """The buttons that end an episode, name -> index, from the values of `JOY`."""
    return {name: values[f'joy_button_{name}'] for name in OUTCOMES}


def gamepad_map(values: Mapping[str, Any]) -> GamepadMap:
    """The pad's layout from the values of `GAMEPAD`."""
    fields = GamepadMap.__dataclass_fields__
    return GamepadMap(**{field: values[f'joy_{field}'] for field in fields})


def leader_config(values: Mapping[str, Any]) -> LeaderConfig:
    """The leader's configuration from the values of `LEADER`."""
    return LeaderConfig(
        names=tuple(values['leader_joint_names']),
        signs=tuple(values['leader_signs']),
        offsets=tuple(values['leader_offsets']),
        tolerance=tuple(values['leader_tolerance']),
        gripper_tolerance=values['leader_gripper_tolerance'],
        timeout_s=values['leader_timeout_s'],
        settle_s=values['leader_settle_s'],
    )
