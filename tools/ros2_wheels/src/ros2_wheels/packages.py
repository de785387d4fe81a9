"""Installed packages and their executables."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def prefix_of(package_name: str) -> Path:
    """Return the prefix into which a package is installed.

    Raises:
        RuntimeError: The package is in no prefix of AMENT_PREFIX_PATH.
    """
    try:
        return Path(get_package_prefix(package_name))
    except (PackageNotFoundError, ValueError) as error:
        raise RuntimeError(f"Package '{package_name}' not found") from error


def executables_of(package_name: str) -> list[Path]:
    """Return the executables below `<prefix>/lib/<package>`, sorted.

    Raises:
        RuntimeError: The package is in no prefix of AMENT_PREFIX_PATH.
    """
    directory = prefix_of(package_name) / 'lib' / package_name
    found = []
    for root, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths = (Path(root) / name for name in sorted(names))
        found += [path for path in paths if os.access(path, os.X_OK)]
    return found
