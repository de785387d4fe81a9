"""The control for LWD's tilt: all of LWD, values and refreshed reference, but the policy is never pulled towards Q.

What LWD has over this run is what adjoint matching brings. The critic is there for best-of-n.
"""

from __future__ import annotations

from lwd_learner.algorithms.method import Method

METHOD = Method('refresh_only', clones='successes', values=True)
