"""The learner of a fleet: ingest, training and publishing, as `ros2 run lwd_learner train`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """One process; it resumes from its last checkpoint when it is started again."""
    return LaunchDescription([
        DeclareLaunchArgument('profile', default_value='g1_laptop', description='Robot profile of the fleet.'),
        DeclareLaunchArgument(
            'respawn', default_value='false', description='Start the learner again when it dies (it resumes).',
            choices=['true', 'false'],
        ),
        Node(
            package='lwd_learner',
            executable='train',
            output='screen',
            arguments=['--profile', LaunchConfiguration('profile'), '--resume'],
            respawn=LaunchConfiguration('respawn'),
            respawn_delay=1.0,
        ),
    ])  # fmt: skip
