"""Launch actions that begin the scope of one robot: its namespace, its clock, its driver's names.

``robot.launch.py`` and ``rviz.launch.py`` begin with them, so that a node means the same topics in both. They read the
launch configurations ``robot_id``, ``hardware``, ``profile`` and ``driver``.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescriptionEntity
from launch.actions import OpaqueFunction
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    PathJoinSubstitution,
)
from launch_ros.actions import PushRosNamespace, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lwd_policy_node.profile import load_profile

from lwd_bringup.robot.driver_topics import hardware_topics, load_driver_topics

in_simulation = EqualsSubstitution(LaunchConfiguration('hardware'), 'sim')

SCOPE_ARGUMENTS = (
    ('robot_id', 'g1_01', 'Name of the robot and its ROS namespace; unique in the fleet.', None),
    ('hardware', 'sim', 'sim: a MuJoCo G1 is started; g1: a real one, whose driver runs already.', ['sim', 'g1']),
    ('profile', IfElseSubstitution(in_simulation, 'g1_laptop', 'g1'),
     'Robot profile (joints, limits, cameras): a known name or a path to a YAML; the learner needs the same. Without '
     'it: g1_laptop in simulation, g1 for a real robot.', None),
    ('driver', PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'config', 'g1_driver.yaml']),
     'YAML with the topic names of the driver, for hardware:=g1.', None),
)  # fmt: skip
"""Name, default, explanation, choices."""


def scope_of_robot() -> list[LaunchDescriptionEntity]:
    """What stands first in the group of a robot's nodes."""
    return [
        PushRosNamespace(LaunchConfiguration('robot_id')),
        # Each simulated robot has a clock of its own, which may run faster than the wall.
        SetRemap('/clock', 'clock'),
        SetParameter('use_sim_time', ParameterValue(in_simulation, value_type=bool)),
        OpaqueFunction(function=_names_of_driver),
    ]


def _names_of_driver(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = context.launch_configurations
    if values['hardware'] == 'sim':
        return []
    known = hardware_topics(load_profile(values['profile']))
    return [SetRemap(ours, theirs) for ours, theirs in load_driver_topics(values['driver'], known)]
