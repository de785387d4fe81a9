"""What a policy takes over from the profile that it is made for, and a robot compares before it takes the policy."""

from __future__ import annotations

from typing import Any

from lwd_policy_node.profile.robot_profile import RobotProfile


def policy_facts(profile: RobotProfile) -> dict[str, Any]:
    """Fields of `policy.PolicyConfig`, by name: with another of them the same chunk would be another motion."""
    columns = profile.action_columns_in_state()
    return {
        'profile': profile.name,
        'cameras': tuple(camera.name for camera in profile.cameras),
        'state_dim': len(profile.state_columns),
        'action_dim': len(profile.joints),
        'horizon': profile.horizon,
        'relative_to_state': tuple(
            -1 if joint.name.startswith('gripper') else column
            for joint, column in zip(profile.joints, columns, strict=True)
        ),
        'control_rate_hz': profile.control_rate_hz,
    }
