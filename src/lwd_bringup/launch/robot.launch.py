"""One robot: its hardware (or a simulated one), who may move it, what it records and uploads, and its weights."""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    AppendEnvironmentVariable,
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import Parameter, ParameterValue
from launch_ros.substitutions import FindPackageShare
from lwd_bringup.robot.parameter_file import check_parameter_file
from lwd_bringup.robot.scope import SCOPE_ARGUMENTS, in_simulation, scope_of_robot

YES_NO = ['true', 'false']
ARGUMENTS = (
    *SCOPE_ARGUMENTS,
    ('tasks', "['restock']", 'Tasks that episode_node runs in turn, as a YAML list.', None),
    ('auto', 'true', 'Start the next episode by itself (simulation only; never on a real robot).', YES_NO),
    ('max_episodes', '0', 'Stop after so many episodes; 0: never.', None),
    ('time_limit_s', '0.0', "Longest episode, s, in simulation of its time; 0: the task's own limit.", None),
    ('seed', '0', 'First scene seed of the simulator; 0: made from robot_id.', None),
    ('shift', 'trained', 'Randomisation of the simulated scenes; sim_node and the scripted operator (teleop_node) have '
     'to agree on it, in params_file too.', ['trained', 'shift']),
    ('real_time_factor', '1.0', 'Speed of simulated time; 0: as fast as possible.', None),
    ('teleop', IfElseSubstitution(in_simulation, 'scripted', 'gamepad'),
     'Who may take over: scripted (simulation only), gamepad, leader_arm, none, or another teleop source. Without it: '
     'scripted in simulation, gamepad for a real robot.', None),
    ('speed', '1.0', "Share of the profile's joint speeds that anybody may use, 0.01 to 1; small for a real robot's "
     'first motions.', None),
    ('record', 'true', 'Record every episode as a bag in the spool.', YES_NO),
    ('upload', 'true', 'Upload finished bags to the store; with record:=false those of before.', YES_NO),
    ('store', '', 'Where bags go: a folder or s3://bucket/prefix; empty: $LWD_STORE or $LWD_HOME/store.', None),
    ('weights', 'true', 'Follow the weights that the learner publishes; false: work on with the last that were kept.',
     YES_NO),
    ('learner', 'discover',
     'discover: the one that DDS discovery finds, if there is one; start: start one here too; or the host name or '
     'address of its machine, which is then added to ROS_STATIC_PEERS.', None),
    ('rviz', 'false', 'Start RViz, where it is installed.', YES_NO),
    ('respawn', 'true', 'Start a node again when it dies; the arbiter in simulation only.', YES_NO),
    ('params_file', PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'config', 'robot.yaml']),
     'Parameters of all nodes of the robot (YAML), but robot_id and profile. An argument above that is given counts '
     'more, its default less.', None),
)  # fmt: skip


GIVEN = 'given_arguments'


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and the robot's nodes, all in the robot's namespace."""
    starts_learner = EqualsSubstitution(LaunchConfiguration('learner'), 'start')
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, default, text, choices in ARGUMENTS
    ]
    return LaunchDescription([
        OpaqueFunction(function=_note_what_is_given),
        *arguments,
        OpaqueFunction(function=_check),
        GroupAction([
            *scope_of_robot(),
            OpaqueFunction(function=_way_to_learner),
            OpaqueFunction(function=_nodes),
        ]),
        _included('rviz', IfCondition(LaunchConfiguration('rviz'))),
        _included('learner', IfCondition(starts_learner), respawn='false'),
    ])  # fmt: skip


def _note_what_is_given(context: LaunchContext) -> None:
    """Before the defaults are set: afterwards nobody can tell."""
    values = context.launch_configurations
    values[GIVEN] = ' '.join(name for name, *_ in ARGUMENTS if name in values)


def _nodes(context: LaunchContext) -> list[Node]:
    """The nodes. Of a parameter the argument counts that is given, else params_file, else the argument's default."""
    values = context.launch_configurations
    given = values[GIVEN].split()
    respawn = LaunchConfiguration('respawn')
    always = {'robot_id': _value('robot_id', str), 'profile': _value('profile', str)}

    def node(
        package: str, executable: str, condition=None, respawn=respawn, also=None, **of_arguments
    ) -> Node:
        """A node; parameter=(argument, type)."""
        # Defaults are written for all nodes (-p), so that any entry of the file counts more.
        defaults = [
            Parameter(name, LaunchConfiguration(argument), value_type=kind)
            for name, (argument, kind) in of_arguments.items()
            if argument not in given
        ]
        wanted = {
            name: _value(*source) for name, source in of_arguments.items() if source[0] in given
        }
        return Node(
            package=package,
            executable=executable,
            name=executable,
            output='screen',
            parameters=[
                *defaults,
                LaunchConfiguration('params_file'),
                {**wanted, **always, **(also or {})},
            ],
            condition=condition,
            respawn=respawn,
            respawn_delay=0.5,
        )

    return [
        node(
            'lwd_sim', 'sim_node', IfCondition(in_simulation),
            seed=('seed', int), shift=('shift', str), real_time_factor=('real_time_factor', float),
        ),
        # A new arbiter knows of no e-stop: on a real robot somebody has to look before there is one.
        node(
            'lwd_policy_node', 'arbiter_node', respawn=AndSubstitution(in_simulation, respawn),
            velocity_scale=('speed', float),
        ),
        node('lwd_policy_node', 'policy_node', follow_weights=('weights', bool)),
        node(
            'lwd_policy_node', 'teleop_node',
            IfCondition(NotEqualsSubstitution(LaunchConfiguration('teleop'), 'none')),
            source=('teleop', str), shift=('shift', str),
        ),
        node('lwd_recorder', 'recorder_node', IfCondition(LaunchConfiguration('record'))),
        node('lwd_recorder', 'uploader_node', IfCondition(LaunchConfiguration('upload')), store=('store', str)),
        node(
            'lwd_policy_node', 'episode_node',
            also={'simulator': True} if values['hardware'] == 'sim' else {'simulator': False, 'auto': False},
            auto=('auto', bool), tasks=('tasks', list[str]), seed=('seed', int),
            max_episodes=('max_episodes', int), time_limit_s=('time_limit_s', float),
            wait_for_recorder=('record', bool),
        ),
    ]  # fmt: skip


def _included(name: str, condition: IfCondition, **arguments: str) -> GroupAction:
    """Another launch file, which knows this one's arguments; what it sets itself stays with it."""
    path = PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'launch', f'{name}.launch.py'])
    source = PythonLaunchDescriptionSource(path)
    include = IncludeLaunchDescription(source, launch_arguments=list(arguments.items()))
    return GroupAction([include], condition=condition)


def _check(context: LaunchContext) -> None:
    """Refuse what does not go together."""
    values = context.launch_configurations
    if values['hardware'] != 'sim' and values['teleop'] == 'scripted':
        raise ValueError(
            f'teleop:=scripted is the operator of the simulator; with hardware:={values["hardware"]} use gamepad, '
            'leader_arm or none'
        )
    check_parameter_file(values['params_file'], values['teleop'])


def _way_to_learner(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """With a host given, one more peer of every node of the robot."""
    learner = context.launch_configurations['learner']
    if learner in ('discover', 'start'):
        return []
    return [AppendEnvironmentVariable('ROS_STATIC_PEERS', learner, separator=';')]


def _value(argument: str, kind: type) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(argument), value_type=kind)
