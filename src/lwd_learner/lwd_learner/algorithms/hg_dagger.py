"""HG-DAgger (arXiv 1810.02890): cloning of demonstrations and of everything that a human did when taking over.

What the policy did itself is never cloned, success or not. Its loss is `sft.flow_matching_loss`.
"""

from __future__ import annotations

from lwd_learner.algorithms.method import Method

METHOD = Method('hg_dagger', clones='demonstrations and human')
