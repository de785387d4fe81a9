"""Real file systems that run full, turn read-only, or fail: a tmpfs, and ext4 in a file."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_FLUSH = 2


class Tmpfs:
    """A file system in memory with a size."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        folder.mkdir()
        self.folder = folder
        _run('mount', '-t', 'tmpfs', '-o', f'size={size_mib}m', 'tmpfs', str(folder))

    def resize(self, size_mib: int) -> None:
        """Make it larger or smaller while it is in use."""
        _run('mount', '-o', f'remount,size={size_mib}m', str(self.folder))

    def fill(self, name: str = 'other_programs.log') -> Path:
        """Take all the room that there is, as a runaway log does."""
        path = self.folder / name
        with path.open('wb', buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        return path

    def close(self) -> None:
        _unmount(self.folder)


class Ext4:
    """A journaling file system in a file, which can be broken as a failing disk breaks it."""

    def __init__(self, folder: Path, image: Path, size_mib: int = 96) -> None:
        folder.mkdir()
        self.folder, self._image = folder, image
        with image.open('wb') as file:
            file.truncate(size_mib << 20)
        _run('mkfs.ext4', '-q', '-F', str(image))
        self.mount()

    def mount(self) -> None:
        _run('mount', '-o', 'loop', str(self._image), str(self.folder))

    def turn_read_only(self) -> None:
        """What the kernel does by itself after an error (errors=remount-ro): open files cannot be written any more."""
        _run('mount', '-o', 'remount,abort', str(self.folder))

    def fail(self) -> None:
        """Every access is EIO from here on, and what was not synced is lost: a cable pulled, or the power."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack('I', _NO_FLUSH))
        finally:
            os.close(descriptor)

    def repair(self) -> None:
        """Replace the cable: the file system replays its journal and is there again."""
        _unmount(self.folder)
        checked = subprocess.run(
            ['e2fsck', '-p', '-f', str(self._image)], check=False, capture_output=True, text=True
        )
        assert checked.returncode in (0, 1), checked.stdout + checked.stderr
        self.mount()

    def close(self) -> None:
        _unmount(self.folder)


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.fail(f'no {command[0]} here: apt install e2fsprogs mount')
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(
            f'{" ".join(command)}: {done.stderr.strip()}. The fault suite needs real mounts: run it as root '
            '(sudo -E make test-faults), in a container with --privileged'
        )


def _unmount(folder: Path) -> None:
    """Wait until the last process has let go."""
    for _ in range(100):
        if (
            subprocess.run(['umount', str(folder)], check=False, capture_output=True).returncode
            == 0
        ):
            return
        time.sleep(0.05)
    _run('umount', '--lazy', str(folder))  # of a test that failed and left a process behind
