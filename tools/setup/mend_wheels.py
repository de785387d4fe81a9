#!/usr/bin/env python3
"""Mend the ROS 2 wheels' CMake files: they name the Python of the machine that built them.

Run with the environment's own Python, once after installing; running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

BUILD_MACHINE = r'/opt/python/cp\d+-cp\d+'


def mend(share: Path, base_prefix: str, site_packages: str) -> int:
    """Rewrite the foreign paths below `share`; return how many files changed."""
    changed = 0
    for path in share.rglob('*.cmake'):
        text = path.read_text()
        mended = re.sub(BUILD_MACHINE + r'/lib/python[\d.]+/site-packages', site_packages, text)
        mended = re.sub(BUILD_MACHINE, base_prefix, mended)
        if mended != text:
            path.write_text(mended)
            changed += 1
    return changed


if __name__ == '__main__':
    count = mend(Path(sys.prefix, 'share'), sys.base_prefix, sysconfig.get_paths()['purelib'])
    print(f'{count} files mended')
