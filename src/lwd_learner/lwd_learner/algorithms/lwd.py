"""LWD (arXiv 2605.00416): DIVL learns values of everything in replay, QAM tilts the flow towards them.

Its two halves are `divl` and `qam`. The flow's reference goes on cloning successes and rescues from the offline stage
on (``--reference refreshed_offline``), online only (``refreshed``), or stays the SFT checkpoint as the paper has it
(``frozen``).
"""

from __future__ import annotations

from lwd_learner.algorithms.method import Method

METHOD = Method('lwd', clones='successes', values=True, tilts=True)
