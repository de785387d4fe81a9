"""Why data cannot be exported or imported."""

from __future__ import annotations


class InteropError(ValueError):
    """A data set, a bag or a mapping is not usable; the message names the thing, the value and the remedy."""
