"""LWD_HOME and LWD_STORE: where things live unless an option or a parameter says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def lwd_home() -> Path:
    """The folder of all that runs write: LWD_HOME, or ~/.lwd where that is not set or empty."""
    return Path(os.environ.get('LWD_HOME') or '~/.lwd').expanduser()


def robot_home(robot_id: str) -> Path:
    """What one robot keeps: its spool, its weights and its journal of episodes."""
    return lwd_home() / 'robots' / robot_id


def default_spool(robot_id: str) -> Path:
    """The folder of a robot's episodes that are not delivered yet."""
    return robot_home(robot_id) / 'spool'


def default_store() -> str:
    """The address of the store of episodes: LWD_STORE, or the folder `store` of `lwd_home`."""
    return os.environ.get('LWD_STORE') or str(lwd_home() / 'store')
