"""Settings of adjoint matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class QamConfig:
    """Settings of adjoint matching."""

    steps: int = 10
    """T, flow steps of the training roll-out; at least 2."""
    discretisation: Literal['ancestral', 'euler'] = 'ancestral'
    """Exact steps for clean-action heads, or the paper's Euler steps in velocities."""
    temperature: float | None = None
    """lambda. None: set by the trust region below (a fixed value does not transfer between critics)."""
    trust_region: Literal['shift', 'dual'] = 'shift'
    """What sets lambda: the change asked for (`shift`), or the path-space KL (`dual`, TRQAM)."""
    shift: float = 0.05
    """The change asked of the predicted chunk at t = 0, as a share of the chunk's norm; lambda's start for `dual`."""
    kl_budget: float = 1.0
    """Path KL to the reference that `dual` allows, nats per chunk."""
    dual_rate: float = 0.02
    """Relative step of lambda per update of `dual`."""
    path: Literal['current', 'reference', 'replay'] = 'current'
    """Whose paths are matched: the current flow's, the reference's (a first-order approximation), or the reference's
    with the end pinned to the replay action."""
    box: float = 4.0
    """Q's gradient is taken at actions clipped to +-box (normalised units), and is zero in clipped dimensions."""
    action_edit: float = 0.0
    """QAM-E: largest change of an entry (normalised) by a one-step edit behind the flow that climbs Q; 0: none."""
    action_edit_entropy: float = -0.5
    """Entropy per entry at which the edit is held, nats, of a value in (-1, 1); uniform would be .69."""

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(
                f'qam.steps is {self.steps}; adjoint matching needs at least 2 flow steps'
            )
        if self.temperature is not None and self.temperature <= 0:
            raise ValueError(
                f'qam.temperature is {self.temperature}; it must be positive, or None for the trust region'
            )
        if self.action_edit < 0 or self.action_edit_entropy > 0.69:
            raise ValueError(
                f'qam.action_edit {self.action_edit} must be at least 0, qam.action_edit_entropy '
                f'{self.action_edit_entropy} under log 2'
            )
        if self.kl_budget <= 0:
            raise ValueError(f'qam.kl_budget is {self.kl_budget}; it must be positive')

    @property
    def euler(self) -> bool:
        """Whether flows are velocities."""
        return self.discretisation == 'euler'
