"""The learner of a fleet: ingest, training and publishing, as `ros2 run lwd_learner train`."""

import shlex

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

ARGUMENTS = (
    ('profile', 'g1_laptop', 'Robot profile of the fleet: a known name or a path to a YAML; the robots need the same.',
     None),
    ('store', '', 'Where robots upload: a folder or s3://bucket/prefix; empty: $LWD_STORE or $LWD_HOME/store.', None),
    ('train_args', '', 'More arguments of `train` in one word, e.g. "--online-minutes 60"; `ros2 run lwd_learner train '
     '--help` lists them.', None),
    ('respawn', 'false', 'Start the learner again when it dies (it resumes).', ['true', 'false']),
)  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    """One process; it resumes from its last checkpoint when it is started again."""
    return LaunchDescription([
        *(
            DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
            for name, default, text, choices in ARGUMENTS
        ),
        OpaqueFunction(function=_train),
    ])  # fmt: skip


def _train(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = context.launch_configurations
    store = ['--store', values['store']] if values['store'] else []
    # No Node: launch_ros gives every Node --ros-args, which `train`, a command with options of its own, refuses.
    return [
        ExecuteProcess(
            cmd=[
                ExecutableInPackage('train', 'lwd_learner'), '--resume', '--profile', values['profile'],
                *store, *shlex.split(values['train_args']),
            ],
            output='screen',
            respawn=LaunchConfiguration('respawn'),
            respawn_delay=1.0,
        )
    ]  # fmt: skip
