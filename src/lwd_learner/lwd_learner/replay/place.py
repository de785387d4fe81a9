"""Where a replay is: the default folder, and opening what a user typed."""

from __future__ import annotations

from pathlib import Path

from lwd_policy_node.places import lwd_home

from lwd_learner.replay.replay import Replay


def default_replay() -> str:
    """``$LWD_HOME/train/replay``."""
    return str(lwd_home() / 'train' / 'replay')


def open_replay(uri: str) -> Replay:
    """Open the replay at a folder or URI.

    Raises:
        ReplayError: there is none.
    """
    return Replay.open(Path(uri) if '://' not in uri else uri)
