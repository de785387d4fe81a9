"""RViz for one robot, on the robot's machine or another: robot_state_publisher and rviz2, where they are installed."""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, OpaqueFunction
from launch.substitutions import Command, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare
from lwd_bringup.robot.scope import SCOPE_ARGUMENTS, scope_of_robot

NEEDED = ('robot_state_publisher', 'rviz2')
# Every robot has the same link names, so each has its own tree of transforms, in its namespace.
REMAPPINGS = [('/tf', 'tf'), ('/tf_static', 'tf_static')]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; what is missing is known when the launch runs."""
    return LaunchDescription([
        *(
            DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
            for name, default, text, choices in SCOPE_ARGUMENTS
        ),
        DeclareLaunchArgument(
            'rviz_config',
            default_value=PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'rviz', 'lwd.rviz']),
            description="Displays of RViz. Topics in it are relative: RViz runs in the robot's namespace.",
        ),
        GroupAction([*scope_of_robot(), OpaqueFunction(function=_nodes)]),
    ])  # fmt: skip


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    missing = [package for package in NEEDED if not _is_installed(package)]
    if missing:
        return [
            LogInfo(msg=f'no RViz: {" and ".join(missing)} not installed; the robot runs without')
        ]
    description = Command([ExecutableInPackage(package='lwd_sim', executable='urdf')])
    return [
        Node(
            package='robot_state_publisher',
            executable='robot_state_publisher',
            output='screen',
            parameters=[{'robot_description': ParameterValue(description, value_type=str)}],
            remappings=REMAPPINGS,
        ),
        Node(
            package='rviz2',
            executable='rviz2',
            output='screen',
            arguments=['-d', LaunchConfiguration('rviz_config')],
            remappings=REMAPPINGS,
        ),
    ]


def _is_installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True
