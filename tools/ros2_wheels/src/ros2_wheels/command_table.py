"""Every command and verb of `ros2` that is provided here, with its one-line help."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `ros2`; without verbs its module is `<name>_command`."""

    summary: str
    verbs: dict[str, str] = field(default_factory=dict)


COMMANDS: dict[str, Command] = {
    'interface': Command(
        'Show information about ROS interfaces',
        {
            'list': 'List all interface types available',
            'show': 'Output the interface definition',
        },
    ),
    'launch': Command('Run a launch file'),
    'lifecycle': Command(
        'Various lifecycle related sub-commands',
        {
            'get': 'Get lifecycle state for one or more nodes',
            'nodes': 'Output a list of nodes with lifecycle',
            'set': 'Trigger lifecycle state transition',
        },
    ),
    'node': Command(
        'Various node related sub-commands',
        {
            'info': 'Output information about a node',
            'list': 'Output a list of available nodes',
        },
    ),
    'param': Command(
        'Various param related sub-commands',
        {
            'dump': 'Dump all of the parameters of a node in a YAML format',
            'get': 'Get parameter',
            'list': 'Output a list of available parameters',
            'set': 'Set parameter',
        },
    ),
    'pkg': Command(
        'Various package related sub-commands',
        {
            'executables': 'Output a list of package specific executables',
            'list': 'Output a list of available packages',
            'prefix': 'Output the prefix path of a package',
        },
    ),
    'run': Command('Run a package specific executable'),
    'service': Command(
        'Various service related sub-commands',
        {
            'call': 'Call a service',
            'list': 'Output a list of available services',
            'type': "Output a service's type",
        },
    ),
    'topic': Command(
        'Various topic related sub-commands',
        {
            'echo': 'Output messages from a topic',
            'hz': 'Print the average publishing rate to screen',
            'info': 'Print information about a topic',
            'list': 'Output a list of available topics',
            'pub': 'Publish a message to a topic',
            'type': "Print a topic's type",
        },
    ),
}
