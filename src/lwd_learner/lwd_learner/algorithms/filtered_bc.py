"""Filtered behaviour cloning: the flow goes on cloning what succeeded and what humans rescued; no values at all.

The baseline to beat in the open, in every table. Its loss is `sft.flow_matching_loss`, its data the successful episodes
without the stretches that a human had to take over from.
"""

from __future__ import annotations

from lwd_learner.algorithms.method import Method

METHOD = Method('filtered_bc', clones='successes', clones_offline=True)
