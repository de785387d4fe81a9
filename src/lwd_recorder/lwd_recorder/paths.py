"""Where things live unless a parameter says otherwise: below LWD_HOME, or ~/.lwd."""

from __future__ import annotations

import os
from pathlib import Path


def lwd_home() -> Path:
    """Return LWD_HOME, or ~/.lwd where it is not set."""
    return Path(os.environ.get('LWD_HOME') or '~/.lwd').expanduser()


def default_spool(robot_id: str) -> Path:
    """Return the spool of a robot."""
    return lwd_home() / 'robots' / robot_id / 'spool'


def default_store() -> str:
    """Return the store's address: LWD_STORE, or a folder in LWD_HOME."""
    return os.environ.get('LWD_STORE') or str(lwd_home() / 'store')
