"""A fleet of simulated robots, g1_01 to g1_NN, each as robot.launch.py starts it."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

FORWARDED = (
    ('profile', 'g1_laptop', 'Robot profile of every robot.'),
    ('tasks', "['restock']", 'Tasks that every robot runs in turn, as a YAML list.'),
    ('max_episodes', '0', 'Each robot stops after so many episodes; 0: never.'),
    ('time_limit_s', '0.0', "Longest episode, s of the robot's clock; 0: the task's own limit."),
    ('shift', 'trained', 'Randomisation of the scenes: trained or shift.'),
    ('real_time_factor', '1.0', 'Speed of simulated time; 0: as fast as possible.'),
    ('teleop', 'scripted', 'Who may take over: a teleop source, or none.'),
    (
        'store',
        '',
        'Where bags go: a folder or s3://bucket/prefix; empty: $LWD_STORE or $LWD_HOME/store.',
    ),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the robots are added when their number is known."""
    return LaunchDescription([
        DeclareLaunchArgument('robots', default_value='2', description='How many robots, 1 to 99.'),
        DeclareLaunchArgument('seed', default_value='1000000', description='First scene seed of the first robot.'),
        *(DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in FORWARDED),
        OpaqueFunction(function=_robots),
    ])  # fmt: skip


def _robots(context: LaunchContext) -> list[IncludeLaunchDescription]:
    robots = int(LaunchConfiguration('robots').perform(context))
    if not 1 <= robots <= 99:
        raise ValueError(f'robots:={robots} is outside 1..99')
    seed = int(LaunchConfiguration('seed').perform(context))
    source = PathJoinSubstitution([FindPackageShare('lwd_bringup'), 'launch', 'robot.launch.py'])
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(source),
            launch_arguments=[
                ('robot_id', f'g1_{index:02d}'),
                ('hardware', 'sim'),
                ('seed', str(seed + 100_000 * (index - 1))),
                *((name, LaunchConfiguration(name)) for name, _, _ in FORWARDED),
            ],
        )
        for index in range(1, robots + 1)
    ]
