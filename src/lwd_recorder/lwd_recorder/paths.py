"""Where the recorder's things live unless a parameter says otherwise."""

from __future__ import annotations

from pathlib import Path

from lwd_policy_node.places import default_store, lwd_home

__all__ = ['default_spool', 'default_store']


def default_spool(robot_id: str) -> Path:
    """Return the spool of a robot."""
    return lwd_home() / 'robots' / robot_id / 'spool'
