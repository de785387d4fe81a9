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
    """For best_of: the entry whose policy acts."""
    critic_of: str = ''
    """For best_of: the entry whose critic chooses."""

    @property
    def trains_offline(self) -> bool:
        """Whether the offline stage changes anything."""
        method = METHODS[self.algorithm]
        return self.best_of == 1 and (method.values or method.clones_offline)

    @property
    def moves_offline(self) -> bool:
        """Whether the offline stage moves the policy away from SFT's; where it does not, SFT's line says it all."""
        config = self.applied(TrainConfig())
        return self.best_of > 1 or config.method.tilts or config.clones_offline

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


LATE = {'reference': 'refreshed', 'qam.shift': 0.15, 'divl.quantile': 'first_atom'}
"""LWD's defaults when the first comparison was made: a reference that clones online only, thrice the shift, the paper's
quantile."""


def late(name: str = '', **flags: Any) -> Entry:
    """LWD as it was, and one thing different."""
    full = f'late lwd, {name}' if name else 'late lwd'
    return Entry(full, 'lwd', LATE | {k.replace('__', '.'): v for k, v in flags.items()})


def best_of_8(policy_of: str, critic_of: str = '') -> Entry:
    """An entry's policy with the best of 8 samples by a critic, its own if none is named."""
    algorithm = policy_of.removeprefix('late ').split(',')[0]
    return Entry(f'{policy_of}, best of 8', algorithm, {}, 8, policy_of, critic_of or policy_of)


MAIN = (
    Entry('sft', 'sft'),
    Entry('filtered_bc', 'filtered_bc'),
    Entry('lwd', 'lwd'),
    best_of_8('lwd'),
    Entry('recap', 'recap'),
    Entry('hg_dagger', 'hg_dagger'),
    Entry('refresh_only', 'refresh_only'),
    Entry('iql', 'iql'),
)
"""In the order in which they run."""

ABLATIONS = (
    best_of_8('filtered_bc', critic_of='lwd'),
    Entry('lwd, robots choose of 8', 'lwd', {'best_of': 8}),
    Entry('lwd, constant tau', 'lwd', {'divl.statistic': 'constant'}),
    Entry('lwd, n = 1', 'lwd', {'offline.n_step': 1}),
    Entry('lwd, n = 10', 'lwd', {'offline.n_step': 10}),
    best_of_8('iql'),
    best_of_8('lwd, constant tau'),
    best_of_8('lwd, n = 1'),
    best_of_8('lwd, n = 10'),
    Entry('lwd, path reference', 'lwd', {'qam.path': 'reference'}),
    Entry('lwd, path replay', 'lwd', {'qam.path': 'replay'}),
    Entry('lwd, lambda 2', 'lwd', {'qam.temperature': 2.0}),
    Entry('lwd, lambda dual', 'lwd', {'qam.trust_region': 'dual'}),
    Entry('lwd, frozen reference', 'lwd', {'reference': 'frozen'}),
    Entry('lwd, first atom', 'lwd', {'divl.quantile': 'first_atom'}),
    Entry('lwd, first atom, shift .15', 'lwd', {'divl.quantile': 'first_atom', 'qam.shift': 0.15}),
    late(),
    best_of_8('sft', critic_of='late lwd'),
    best_of_8('late lwd'),
    Entry('late iql', 'iql', LATE),
    Entry('late refresh_only', 'refresh_only', LATE),
    late('constant tau', divl__statistic='constant'),
    late('n = 1', offline__n_step=1),
    late('n = 10', offline__n_step=10),
    late('path reference', qam__path='reference'),
    late('path replay', qam__path='replay'),
    late('lambda 2', qam__temperature=2.0),
    late('shift .05', qam__shift=0.05),
    late('8 heads', rl__critic_heads=8),
    late('lambda dual', qam__trust_region='dual'),
)
"""Of LWD as it is (a reference cloned further from the offline stage on, shift .05, DIVL's quantile between atoms), and
as it was; both have an adaptive tau, n = 3, the current flow's paths, lambda by the shift. Expectile: iql."""

ENTRIES = {entry.name: entry for entry in (*MAIN, *ABLATIONS)}
METHOD_NAMES = tuple(entry.name for entry in MAIN)
