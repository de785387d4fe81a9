"""A robot without a teleoperator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class NoneSource:
    """Never commands."""

    def __init__(self, node: object) -> None:
        """Needs nothing of the node."""

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """Always None: nobody holds the deadman."""
        return None
