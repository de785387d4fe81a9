"""Parameters of ``sim_node``, declared once."""

from __future__ import annotations

from lwd_policy_node.nodes.parameters import Parameter

from lwd_sim.tasks import SHIFTS, TASKS

PARAMETERS = (
    Parameter('robot_id', str, 'g1_01', 'Name of the robot; its namespace.'),
    Parameter('profile', str, 'g1_laptop', 'Robot profile: g1, g1_laptop, or a path to a .yaml.'),
    Parameter('task', str, 'restock', 'Scene at start.', choices=tuple(sorted(TASKS))),
    Parameter('seed', int, 0, 'Seed of the scene at start.', 0, 2**53),
    Parameter('shift', str, 'trained', 'Randomisation where a reset names none.', choices=SHIFTS),
    Parameter('render', bool, True, 'Render and publish the cameras.'),
    Parameter(
        'real_time_factor',
        float,
        1.0,
        'Speed of simulated time; 0: as fast as possible, in lock-step with whoever commands. Make data at a speed '
        'that is held (a warning says when it is not): beyond it commands act a tick later than recorded.',
        0.0,
        100.0,
        read_only=False,
    ),
    Parameter(
        'lockstep_timeout_s',
        float,
        0.2,
        'At real_time_factor 0, wall time to wait for the command of a tick, s.',
        0.0,
        10.0,
    ),
    Parameter(
        'service_period_s',
        float,
        0.04,
        'Wall time between two looks for service calls and parameter changes, s.',
        0.001,
        1.0,
    ),
)
