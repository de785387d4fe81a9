"""Steps the wall clock of one process, as NTP or a person does: a preloaded library adds an offset to every reading."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name('wall_clock.c')


class WallClock:
    """The wall clock of the processes that get `environment`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which('cc') or shutil.which('gcc')
        if compiler is None:
            pytest.fail('no C compiler to make a clock that can be stepped: apt install gcc')
        library = folder / 'wall_clock.so'
        subprocess.run(
            [compiler, '-shared', '-fPIC', '-O1', '-o', str(library), str(_SOURCE)],
            check=True,
        )
        self._offset = folder / 'offset'
        self._offset.write_bytes(bytes(8))
        self.environment = os.environ | {
            'LD_PRELOAD': str(library),
            'WALL_CLOCK_OFFSET': str(self._offset),
        }

    def step(self, seconds: int) -> None:
        """Put it so far from the right time."""
        with self._offset.open('r+b', buffering=0) as file:
            file.write(struct.pack('@q', seconds))
