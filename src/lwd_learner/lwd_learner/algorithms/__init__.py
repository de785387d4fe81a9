"""The mathematics of learning: one readable file per algorithm, symbols as in the papers, no data handling.

`METHODS` is what ``train --algorithm`` chooses from.
"""

from lwd_learner.algorithms import filtered_bc, hg_dagger, iql, lwd, recap, refresh_only, sft
from lwd_learner.algorithms.method import Method

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (lwd, iql, refresh_only, filtered_bc, hg_dagger, recap, sft)
}

__all__ = ['METHODS', 'Method']
