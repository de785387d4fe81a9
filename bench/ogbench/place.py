"""Where data and results of the benchmark are."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """$LWD_HOME/ogbench."""
    return Path(os.environ.get('LWD_HOME', 'runs')) / 'ogbench'


def data_folder(family: str) -> Path:
    """Data of a family."""
    return root() / 'data' / family
