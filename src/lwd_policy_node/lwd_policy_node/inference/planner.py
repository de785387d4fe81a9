"""When to ask the policy for a new chunk, and the asking: one plan per `replan_steps` ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_policy_node.inference.ensemble import Ensemble
from lwd_policy_node.inference.observation import NS, Observation
from lwd_policy_node.installation import InstallationError
from lwd_policy_node.profile import RobotProfile
from lwd_policy_node.weights.checks import INFERENCE_FAILS, Judging, LoadedPolicy


class ChunkRejected(ValueError):
    """The policy gave something that must not reach the arbiter; the text says what."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One chunk: H future joint targets made from one observation."""

    stamp_ns: int  # of the observation, robot clock
    episode_id: str
    version: int
    actions: npt.NDArray[np.float64]  # (H, A) absolute targets: rad; grippers 0..1
    frozen_steps: int
    value: float = math.nan  # Q of the chunk, by a policy that carries a critic


class Planner:
    """Decides when a plan is due and makes it. One thread at a time calls each method."""

    def __init__(
        self,
        profile: RobotProfile,
        *,
        seed: int = 0,
        frozen_steps: int = 0,
        ensemble: Ensemble | None = None,
    ) -> None:
        """Plan for a robot.

        Args:
            profile: horizon, control rate and replan_steps.
            seed: first seed of the policy's noise; counts up with every plan.
            frozen_steps: real-time chunking: leading steps copied from the previous plan; 0 = off.
            ensemble: averages the plans of one spell of execution; None = off.

        Raises:
            ValueError: both frozen steps and an ensemble, which would average the frozen away.
        """
        if frozen_steps and ensemble is not None:
            raise ValueError('frozen steps and an ensemble exclude each other: turn one off')
        self._profile = profile
        self._seed = seed
        self._frozen_steps = frozen_steps
        self._ensemble = ensemble
        self.executing = True
        """False while the arbiter executes no plan: the next one must not continue the last."""
        self._last: Plan | None = None
        self._at_once_ns: int | None = None

    def replan_after(self, stamp_ns: int) -> None:
        """Plan from the first observation not older than `stamp_ns`, whatever the cadence says."""
        self._at_once_ns = stamp_ns

    def due(self, stamp_ns: int, episode_id: str) -> bool:
        """Whether an observation of `stamp_ns` (robot clock) in this episode calls for a plan."""
        last = self._last
        if last is None or last.episode_id != episode_id or stamp_ns < last.stamp_ns - NS:
            return True
        if self._at_once_ns is not None and stamp_ns >= self._at_once_ns:
            return stamp_ns > last.stamp_ns
        ticks = (stamp_ns - last.stamp_ns) / NS * self._profile.control_rate_hz
        return ticks > self._profile.replan_steps - 0.5

    def plan(
        self, policy: LoadedPolicy, version: int, observation: Observation, episode_id: str
    ) -> Plan:
        """Run the policy on an observation.

        Raises:
            ChunkRejected: it failed, or gave another shape than (H, A), or non-finite targets.
            InstallationError: this computer lacks what the policy needs for this observation.
        """
        at_once = self._at_once_ns is not None and observation.stamp_ns >= self._at_once_ns
        if at_once:
            self._at_once_ns = None
        last = self._last
        same = last is not None and (last.episode_id, last.version) == (episode_id, version)
        continues = same and self.executing and not at_once
        frozen = self._frozen(observation.stamp_ns) if continues else None
        self._seed += 1
        actions = self._act(policy, observation, frozen)
        shape = (self._profile.horizon, len(self._profile.joints))
        if actions.shape != shape:
            raise ChunkRejected(f'a chunk of shape {actions.shape}, expected {shape}')
        if not np.isfinite(actions).all():
            bad = self._profile.joint_names[int(np.argwhere(~np.isfinite(actions))[0, 1])]
            raise ChunkRejected(f'the target of {bad} is NaN or infinite')
        if self._ensemble is not None:
            if not continues:
                self._ensemble.clear()
            actions = self._ensemble.add(observation.stamp_ns, actions)
        steps = 0 if frozen is None else len(frozen)
        value = policy.value if isinstance(policy, Judging) else math.nan
        self._last = Plan(observation.stamp_ns, episode_id, version, actions, steps, value)
        return self._last

    def _act(
        self,
        policy: LoadedPolicy,
        observation: Observation,
        frozen: npt.NDArray[np.float64] | None,
    ) -> npt.NDArray[np.float64]:
        try:
            return np.asarray(policy.act(observation, self._seed, frozen), dtype=np.float64)
        except InstallationError:
            raise
        except INFERENCE_FAILS as error:
            raise ChunkRejected(f'inference failed: {type(error).__name__}: {error}') from error

    def _frozen(self, stamp_ns: int) -> npt.NDArray[np.float64] | None:
        last = self._last
        if self._frozen_steps == 0 or last is None:
            return None
        first = math.floor((stamp_ns - last.stamp_ns) / NS * self._profile.control_rate_hz + 0.5)
        steps = last.actions[first : first + self._frozen_steps]
        return steps if first >= 0 and len(steps) == self._frozen_steps else None
