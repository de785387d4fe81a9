"""QoS on the command line, and QoS that matches the other side."""

from __future__ import annotations

import argparse
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSLivelinessPolicy,
    QoSPresetProfiles,
    QoSProfile,
    QoSReliabilityPolicy,
)

_OVERRIDES: dict[str, Any] = {
    'history': QoSHistoryPolicy,
    'reliability': QoSReliabilityPolicy,
    'durability': QoSDurabilityPolicy,
    'liveliness': QoSLivelinessPolicy,
}


def add_qos_arguments(parser: argparse.ArgumentParser, default_profile: str) -> None:
    """Declare --qos-profile and the options that override its parts."""
    parser.add_argument(
        '--qos-profile',
        choices=QoSPresetProfiles.short_keys(),
        default=default_profile,
        help=f'Quality of service preset profile (default: {default_profile})',
    )
    parser.add_argument('--qos-depth', metavar='N', type=int, help='Queue size')
    for name, policy in _OVERRIDES.items():
        parser.add_argument(
            f'--qos-{name}',
            choices=policy.short_keys(),
            help=f'Quality of service {name} (default: that of the profile, or what matches)',
        )
    parser.add_argument(
        '--qos-liveliness-lease-duration-seconds',
        type=float,
        help='Quality of service liveliness lease duration',
    )


def chosen_qos(args: argparse.Namespace) -> QoSProfile:
    """Return the profile that the options ask for."""
    # A copy: the presets are shared by the process.
    preset = QoSPresetProfiles.get_from_short_key(args.qos_profile)
    profile = QoSProfile(
        history=preset.history,
        depth=preset.depth,
        reliability=preset.reliability,
        durability=preset.durability,
        liveliness=preset.liveliness,
        liveliness_lease_duration=preset.liveliness_lease_duration,
        lifespan=preset.lifespan,
        deadline=preset.deadline,
    )
    for name, policy in _OVERRIDES.items():
        value = getattr(args, f'qos_{name}')
        if value is not None:
            setattr(profile, name, policy.get_from_short_key(value))
    lease = args.qos_liveliness_lease_duration_seconds
    if lease is not None:
        profile.liveliness_lease_duration = Duration(seconds=lease)
    if args.qos_depth is not None:
        profile.depth = args.qos_depth
    elif profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL and profile.depth == 0:
        profile.depth = 1
    return profile


def matching_subscription_qos(
    node: Node, topic: str, args: argparse.Namespace | None = None
) -> QoSProfile:
    """Return QoS that receives from every publisher of the topic.

    Args:
        node: A node that knows the graph.
        topic: Full name of the topic.
        args: Options of add_qos_arguments(); if one of them is given, they decide alone.
    """
    if args is not None:
        names = ('depth', *_OVERRIDES, 'liveliness_lease_duration_seconds')
        if any(getattr(args, f'qos_{name}') is not None for name in names):
            return chosen_qos(args)
        profile = chosen_qos(args)
    else:
        profile = QoSPresetProfiles.SENSOR_DATA.value
    offered = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    if not offered:
        return profile
    profile.reliability = _common(
        [qos.reliability for qos in offered],
        QoSReliabilityPolicy.RELIABLE,
        QoSReliabilityPolicy.BEST_EFFORT,
    )
    profile.durability = _common(
        [qos.durability for qos in offered],
        QoSDurabilityPolicy.TRANSIENT_LOCAL,
        QoSDurabilityPolicy.VOLATILE,
    )
    return profile


def _common(offered: list[Any], strong: Any, weak: Any) -> Any:
    """Return the strong policy if all offer it; say so if only some do."""
    count = offered.count(strong)
    if 0 < count < len(offered):
        print(
            f'Some, but not all, publishers are offering {type(strong).__name__}.{strong.name}. '
            f'Falling back to {type(weak).__name__}.{weak.name} as it will connect to all '
            'publishers'
        )
    return strong if count == len(offered) else weak
