"""One robot: its hardware (or a simulated one), who may move it, what it records and uploads, and its weights."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node, PushRosNamespace, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ('robot_id', 'g1_01', 'Name of the robot and its ROS namespace; unique in the fleet.', None),
    ('hardware', 'sim', 'sim: a MuJoCo G1; g1: a real one, whose driver publishes the topics.', ['sim', 'g1']),
    ('profile', 'g1_laptop', 'Robot profile (joints, limits, cameras): a known name or a path to a YAML.', None),
    ('tasks', "['restock']", 'Tasks that episode_node runs in turn, as a YAML list.', None),
    ('auto', 'true', 'Start the next episode by itself (simulation only).', ['true', 'false']),
    ('max_episodes', '0', 'Stop after so many episodes; 0: never.', None),
    ('time_limit_s', '0.0', "Longest episode, s of the robot's clock; 0: the task's own limit.", None),
    ('seed', '0', 'First scene seed of the simulator; 0: made from robot_id.', None),
    ('shift', 'trained', 'Randomisation of the simulated scenes.', ['trained', 'shift']),
    ('real_time_factor', '1.0', 'Speed of simulated time; 0: as fast as possible.', None),
    ('teleop', 'scripted', 'Who may take over: a teleop source, or none.', None),
    ('record', 'true', 'Record every episode as a bag in the spool.', ['true', 'false']),
    ('upload', 'true', 'Upload finished bags to the store.', ['true', 'false']),
    ('store', '', 'Where bags go: a folder or s3://bucket/prefix; empty: $LWD_STORE or $LWD_HOME/store.', None),
    ('weights', 'true', 'Follow the weights that the learner publishes.', ['true', 'false']),
    ('respawn', 'true', 'Start a node again when it dies.', ['true', 'false']),
    ('params_file', PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'config', 'robot.yaml']),
     'Parameters of all nodes of the robot (YAML).', None),
)  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and the robot's nodes, all in the robot's namespace."""
    robot_id = LaunchConfiguration('robot_id')
    in_simulation = EqualsSubstitution(LaunchConfiguration('hardware'), 'sim')
    common = {
        'robot_id': robot_id,
        'profile': ParameterValue(LaunchConfiguration('profile'), value_type=str),
    }

    def node(package: str, executable: str, condition=None, **parameters) -> Node:
        return Node(
            package=package,
            executable=executable,
            name=executable,
            output='screen',
            parameters=[LaunchConfiguration('params_file'), {**common, **parameters}],
            condition=condition,
            respawn=LaunchConfiguration('respawn'),
            respawn_delay=0.5,
        )

    robot = GroupAction([
        PushRosNamespace(robot_id),
        # Each simulated robot has a clock of its own, which may run faster than the wall.
        SetRemap('/clock', 'clock'),
        SetParameter('use_sim_time', ParameterValue(in_simulation, value_type=bool)),
        node(
            'lwd_sim', 'sim_node', IfCondition(in_simulation),
            seed=_number('seed', int), shift=LaunchConfiguration('shift'),
            real_time_factor=_number('real_time_factor', float),
        ),
        node('lwd_policy_node', 'arbiter_node'),
        node('lwd_policy_node', 'policy_node', follow_weights=_flag('weights')),
        node(
            'lwd_policy_node', 'teleop_node',
            IfCondition(NotEqualsSubstitution(LaunchConfiguration('teleop'), 'none')),
            source=LaunchConfiguration('teleop'),
        ),
        node('lwd_recorder', 'recorder_node', IfCondition(LaunchConfiguration('record'))),
        node(
            'lwd_recorder', 'uploader_node',
            IfCondition(AndSubstitution(LaunchConfiguration('record'), LaunchConfiguration('upload'))),
            store=ParameterValue(LaunchConfiguration('store'), value_type=str),
        ),
        node(
            'lwd_policy_node', 'episode_node',
            auto=ParameterValue(AndSubstitution(in_simulation, LaunchConfiguration('auto')), value_type=bool),
            tasks=ParameterValue(LaunchConfiguration('tasks'), value_type=list[str]),
            seed=_number('seed', int), max_episodes=_number('max_episodes', int),
            time_limit_s=_number('time_limit_s', float),
            wait_for_recorder=_flag('record'),
        ),
    ])  # fmt: skip
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, default, text, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, robot])


def _flag(name: str) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def _number(name: str, kind: type) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(name), value_type=kind)
