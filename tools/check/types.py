#!/usr/bin/env python3
"""Run mypy --strict on every core: all of our Python that does not import rclpy.

Nodes (``*/nodes/``) wrap untyped ROS APIs and are left out; so are tests. Each package is checked by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('lwd_policy_node', 'lwd_recorder', 'lwd_learner', 'lwd_sim', 'lwd_bringup')


def main() -> int:
    """Check each package; return 1 if any has an error."""
    bases = [str(ROOT / 'src' / name) for name in PACKAGES]
    environment = {**os.environ, 'MYPYPATH': os.pathsep.join(bases)}
    roots = [str(Path(base, Path(base).name)) for base in bases]
    command = [sys.executable, '-m', 'mypy', '--exclude', '/(nodes|launch)/', *roots]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
