"""Matchers for events that name an action."""

from __future__ import annotations

from collections.abc import Callable

from launch.action import Action


def matches_action(target_action: Action) -> Callable[[Action], bool]:
    """Return a matcher for exactly this action."""
    return lambda action: action is target_action
