"""What is compared: each entry is an ``--algorithm`` of `train` and the flags that differ from its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

from lwd_learner.algorithms import METHODS
from lwd_learner.training.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table."""

    name: str
    """As in results and tables."""
    algorithm: str
    """``--algorithm``."""
    flags: dict[str, Any] = field(default_factory=dict)
    """Changes of TrainConfig by dotted name, e.g. ``divl.statistic``."""
    best_of: int = 1
    """Samples per plan, of which the one with the largest Q is executed; above 1 nothing is trained."""
    policy_of: str = ''
    """For best_of: the entry whose policy acts; the critic is LWD's."""

    @property
    def trains_offline(self) -> bool:
        """Whether the offline stage changes anything."""
        method = METHODS[self.algorithm]
        return self.best_of == 1 and (method.values or method.clones_offline)

    @property
    def moves_offline(self) -> bool:
        """Whether the offline stage moves the policy away from SFT's; where it does not, SFT's line says it all."""
        method = METHODS[self.algorithm]
        return self.best_of > 1 or method.tilts or method.clones_offline

    @property
    def acts_online(self) -> bool:
        """Whether it goes on with online rounds."""
        return self.best_of == 1 and METHODS[self.algorithm].clones != 'nothing'

    def applied(self, config: TrainConfig) -> TrainConfig:
        """The configuration with this entry's algorithm and flags.

        Raises:
            AttributeError: a flag that TrainConfig does not have.
        """
        config = replace(config, algorithm=self.algorithm)
        for dotted, value in self.flags.items():
            config = _with(config, dotted.split('.'), value)
        return config


def _with(config: Any, path: list[str], value: Any) -> Any:
    held = getattr(config, path[0])
    if len(path) > 1:
        if not is_dataclass(held):
            raise AttributeError(f'{path[0]} has no {".".join(path[1:])}')
        value = _with(held, path[1:], value)
    return replace(config, **{path[0]: value})


MAIN = (
    Entry('sft', 'sft'),
    Entry('filtered_bc', 'filtered_bc'),
    Entry('lwd', 'lwd'),
    Entry('sft, best of 8', 'sft', best_of=8, policy_of='sft'),
    Entry('lwd, best of 8', 'lwd', best_of=8, policy_of='lwd'),
    Entry('recap', 'recap'),
    Entry('hg_dagger', 'hg_dagger'),
    Entry('refresh_only', 'refresh_only'),
    Entry('iql', 'iql'),
)
"""In the order in which they run."""

ABLATIONS = (
    Entry('lwd, frozen reference', 'lwd', {'reference': 'frozen'}),
    Entry('lwd, early reference', 'lwd', {'reference': 'refreshed_offline'}),
    Entry(
        'lwd, early reference, shift .05',
        'lwd',
        {'reference': 'refreshed_offline', 'qam.shift': 0.05},
    ),
    Entry('lwd, constant tau', 'lwd', {'divl.statistic': 'constant'}),
    Entry('lwd, n = 1', 'lwd', {'offline.n_step': 1}),
    Entry('lwd, n = 10', 'lwd', {'offline.n_step': 10}),
    Entry('lwd, path reference', 'lwd', {'qam.path': 'reference'}),
    Entry('lwd, path replay', 'lwd', {'qam.path': 'replay'}),
    Entry('lwd, lambda 2', 'lwd', {'qam.temperature': 2.0}),
    Entry('lwd, shift .05', 'lwd', {'qam.shift': 0.05}),
    Entry('lwd, 8 heads', 'lwd', {'rl.critic_heads': 8}),
    Entry('lwd, lambda dual', 'lwd', {'qam.trust_region': 'dual'}),
)
"""Of LWD; its defaults are a reference cloned further online only, an adaptive tau, n = 3, the current flow's paths,
lambda by the shift. Expectile: iql.
"""

ENTRIES = {entry.name: entry for entry in (*MAIN, *ABLATIONS)}
METHOD_NAMES = tuple(entry.name for entry in MAIN)
ABLATION_NAMES = tuple(entry.name for entry in ABLATIONS)
