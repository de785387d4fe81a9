"""What the recorder and the uploader cost and lose: see tools/bench/recording and tools/bench/delivery."""

from __future__ import annotations

from tools.bench.delivery.figures import delivery_figures
from tools.bench.figure import Figure
from tools.bench.recording.figures import recording_figures


def measure() -> list[Figure]:
    """All figures of recording and delivery.

    Raises:
        ValueError: an environment variable is out of range, or the disk is too small.
        FileNotFoundError: SeaweedFS or dd is not installed.
        TimeoutError: a process did not do its part.
    """
    return [*delivery_figures(), *recording_figures()]
