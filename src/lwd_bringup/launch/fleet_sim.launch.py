"""A fleet of simulated robots, g1_01 to g1_NN, each as robot.launch.py starts it."""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

YES_NO = ['true', 'false']
FORWARDED = (  # as robot.launch.py has them: a robot is given none that the fleet is not given
    ('profile', 'g1_laptop', 'Robot profile of every robot: a known name or a path to a YAML.', None),
    ('tasks', "['restock']", 'Tasks that every robot runs in turn, as a YAML list.', None),
    ('max_episodes', '0', 'Each robot stops after so many episodes; 0: never.', None),
    ('time_limit_s', '0.0', "Longest episode, s of simulated time; 0: the task's own limit.", None),
    ('shift', 'trained', 'Randomisation of the simulated scenes.', ['trained', 'shift']),
    ('real_time_factor', '1.0', 'Speed of simulated time; 0: as fast as possible.', None),
    ('teleop', 'scripted', 'Who may take over: scripted, none, or another teleop source.', None),
    ('record', 'true', 'Record every episode as a bag in the spool.', YES_NO),
    ('upload', 'true', 'Upload finished bags to the store.', YES_NO),
    ('store', '', 'Where bags go: a folder or s3://bucket/prefix; empty: $LWD_STORE or $LWD_HOME/store.', None),
    ('weights', 'true', 'Follow the weights that the learner publishes.', YES_NO),
    ('respawn', 'true', 'Start a node again when it dies.', YES_NO),
)  # fmt: skip

GIVEN = 'given_to_fleet'


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the robots are added when their number is known."""
    return LaunchDescription([
        OpaqueFunction(function=_note_what_is_given),
        DeclareLaunchArgument('robots', default_value='2', description='How many robots, 1 to 99.'),
        DeclareLaunchArgument(
            'seed', default_value='0', description='First scene seed of the first robot, 100,000 more for each further '
            'one; 0: made from each robot_id.',
        ),
        DeclareLaunchArgument(
            'learner', default_value='discover', description='start: start one learner for all; discover: one runs '
            'already, or none; or the host name or address of its machine.',
        ),
        *(
            DeclareLaunchArgument(name, default_value=value, description=text, choices=choices)
            for name, value, text, choices in FORWARDED
        ),
        GroupAction(  # what the include sets stays in the group
            [IncludeLaunchDescription(_launch_file('learner'), launch_arguments=[('respawn', 'false')])],
            condition=IfCondition(EqualsSubstitution(LaunchConfiguration('learner'), 'start')),
        ),
        OpaqueFunction(function=_robots),
    ])  # fmt: skip


def _note_what_is_given(context: LaunchContext) -> None:
    """Before the defaults are set: a robot would take them for given, and let them count more than params_file."""
    values = context.launch_configurations
    values[GIVEN] = ' '.join(values)


def _robots(context: LaunchContext) -> list[GroupAction]:
    robots = int(LaunchConfiguration('robots').perform(context))
    if not 1 <= robots <= 99:
        raise ValueError(f'robots:={robots} is outside 1..99')
    seed = int(LaunchConfiguration('seed').perform(context))
    learner = LaunchConfiguration('learner').perform(context)
    values = context.launch_configurations
    given = {name: values[name] for name in values[GIVEN].split() if name != 'seed'}

    def robot(index: int) -> GroupAction:
        own = {
            'robot_id': f'g1_{index:02d}',
            'hardware': 'sim',
            'learner': 'discover' if learner == 'start' else learner,
        }
        if seed:
            own['seed'] = str(seed + 100_000 * (index - 1))
        # Neither the fleet's defaults nor those of the robot before are given to a robot.
        return GroupAction(
            [IncludeLaunchDescription(_launch_file('robot'))],
            forwarding=False,
            launch_configurations={**given, **own},
        )

    return [robot(index) for index in range(1, robots + 1)]


def _launch_file(name: str) -> PythonLaunchDescriptionSource:
    return PythonLaunchDescriptionSource(
        PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'launch', f'{name}.launch.py'])
    )
