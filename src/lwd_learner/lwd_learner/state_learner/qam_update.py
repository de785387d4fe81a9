"""One update of QAM on flat observations, with nothing computed twice.

The update is the public code's (arXiv 2601.14234): an ensemble critic that bootstraps from the policy's next action
(or, as LWD does, from DIVL's value), a reference flow that clones, a flow that adjoint matching tilts, Adam, averages.
Five things make it cheap:

* the roll-out's passes of the flow are the loss's passes: their tape is kept, so the loss costs only a backward;
* an observation goes through the first layer once for all flow steps;
* what need not go step by step does not: the adjoint's forward passes of the reference and the flow's backward pass
  take all steps as one batch, whose products two cores share well;
* the last step's velocity of the reference serves the roll-out and the loss;
* critic and flow have little to do with each other, so that each has a core of its own (`lanes`).

The backup `divl` differs from `algorithms.divl` in two things. y takes V as it was before this update's step, for all
gradients are made first and the steps come last; and V learns the ensemble's mean less rho standard deviations, what
QAM's y is made of, not the least head.

Everything is in velocities with Euler steps; `lwd_learner.algorithms.qam` and `flow` have the formulae.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lwd_learner.algorithms import divl
from lwd_learner.algorithms.flow import sigma
from lwd_learner.state_learner.flat_adam import FlatAdam
from lwd_learner.state_learner.lanes import both
from lwd_learner.state_learner.mlp import Mlp, MlpShape, Precision, Tape, blank_tape, rows_of

Info = dict[str, float]


@dataclass(frozen=True, slots=True)
class StateQamConfig:
    """Sizes and rates; the defaults are the public code's."""

    observation: int
    """Width of an observation."""
    action: int
    """D, width of an action chunk, H * A, scaled to [-1, 1]."""
    hidden: int = 512
    """Width of every network's hidden layers."""
    layers: int = 4
    """Hidden layers of every network."""
    members: int = 10
    """K, critics."""
    steps: int = 10
    """T, flow steps."""
    temperature: float = 1 / 0.3
    """lambda."""
    rho: float = 0.5
    """Pessimism: y takes the ensemble's mean less rho standard deviations."""
    backup: Literal['policy', 'divl'] = 'policy'
    """What y bootstraps from: the policy's next action (`policy`), or DIVL's value of replay actions (`divl`)."""
    lr: float = 3e-4
    """Adam's rate of every network."""
    ema: float = 0.005
    """Rate of the averages of critic and reference."""
    clip: float = 1.0
    """Largest gradient norm of each network apart."""
    precision: Precision = 'float32'
    """Of the operands of the hidden layers' products."""
    divl: divl.DivlConfig = field(default_factory=divl.DivlConfig)
    """Used by the backup `divl`; the support must hold all returns."""


@dataclass(frozen=True, slots=True)
class StateBatch:
    """B transitions, float32."""

    observation: Tensor
    """(B, S)."""
    action: Tensor
    """(B, D)."""
    reward: Tensor
    """(B,) discounted over the chunk."""
    discount: Tensor
    """(B,) bootstrap factor, 0 at an end."""
    next_observation: Tensor
    """(B, S)."""
    valid: Tensor
    """(B,) 1 where the whole chunk was executed."""


@dataclass(frozen=True, slots=True)
class Noise:
    """All that one update draws."""

    next_start: Tensor | None
    """(B, D) of the next action; None where nothing bootstraps from one."""
    clone_start: Tensor
    """(B, D) of flow matching."""
    clone_time: Tensor
    """(B, 1) in [0, 1)."""
    path: list[Tensor]
    """x_0, then the noise of all steps but the last: T times (B, D)."""


@dataclass(frozen=True, slots=True)
class RollOut:
    """One path of the current flow per state."""

    observation: Tensor
    """(B, S)."""
    path: list[Tensor]
    """x_0 .. x_T, each (B, D)."""
    tape: list[Tape]
    """Of the flow's passes at (x_i, t_i), one behind the other."""
    moved: list[Tensor]
    """f - f_b at (x_i, t_i)."""
    base_prefix: Tensor
    """Of the observation in the reference."""


class StateQam:
    """Networks, averages and optimisers of one agent."""

    def __init__(self, config: StateQamConfig, seed: int = 0) -> None:
        """Random weights."""
        c = self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        flow = MlpShape(c.observation + c.action + 1, c.action, c.hidden, c.layers)
        critic = MlpShape(c.observation + c.action, 1, c.hidden, c.layers, c.members, True)
        self.critic = Mlp(critic, c.precision, self.generator)
        self.reference = Mlp(flow, c.precision, self.generator)
        self.flow = Mlp(flow, c.precision, self.generator)
        self.critic_average = self.critic.copy()
        self.reference_average = self.reference.copy()
        self.optimisers = {
            'critic': FlatAdam(self.critic, c.lr, self.critic_average, c.ema),
            'reference': FlatAdam(self.reference, c.lr, self.reference_average, c.ema),
            'flow': FlatAdam(self.flow, c.lr),
        }
        self.value: Mlp | None = None
        if c.backup == 'divl':
            value = MlpShape(c.observation, c.divl.atoms, c.hidden, c.layers, 1, True)
            self.value = Mlp(value, c.precision, self.generator)
            self.optimisers['value'] = FlatAdam(self.value, c.lr)
        self.skipped = 0

    @torch.no_grad()
    def act(
        self,
        observation: Tensor,
        best_of: int = 1,
        policy: Literal['flow', 'reference'] = 'flow',
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Chunks for observations.

        Args:
            observation: (B, S).
            best_of: samples of which the one with the largest mean of the critics is taken.
            policy: the trained flow, or the reference that clones replay.
            generator: of the noise; the agent's own, which training draws from, if None.

        Returns:
            (B, D) in [-1, 1].
        """
        many = observation.repeat_interleave(best_of, 0)
        start = torch.randn(len(many), self.config.action, generator=generator or self.generator)
        chunks = self._sample(self.flow if policy == 'flow' else self.reference, many, start)
        if best_of == 1:
            return chunks
        q = self.critic.forward(torch.cat([many, chunks], 1)).mean(0).view(-1, best_of)
        return chunks.view(-1, best_of, self.config.action)[torch.arange(len(q)), q.argmax(1)]

    @torch.no_grad()
    def update(self, batch: StateBatch) -> Info:
        """One update of all networks, or of none if anything is not finite."""
        info = self._gradients(batch)
        if not all(map(math.isfinite, info.values())):
            self.skipped += 1
            return info

        def step(names: list[str]) -> None:
            for name in names:
                self.optimisers[name].step(info[f'{name}/gradient_norm'], self.config.clip)

        both(lambda: step(['critic']), lambda: step(self._all_but('critic')))
        return info

    def state(self) -> dict[str, Tensor]:
        """All that the next update depends on, by name; the tensors are the agent's own, not copies."""
        tensors = {f'net.{name}': net.flat for name, net in self._networks().items()}
        for name, optimiser in self.optimisers.items():
            tensors |= {f'adam.{name}.{k}': v for k, v in optimiser.state().items()}
        tensors['skipped'] = torch.tensor(self.skipped)
        tensors['generator'] = self.generator.get_state()
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put `state` back.

        Raises:
            ValueError: the tensors are of another configuration.
        """
        own = self.state()
        wrong = sorted(
            k
            for k in own.keys() | tensors.keys()
            if k not in own or k not in tensors or own[k].shape != tensors[k].shape
        )
        if wrong:
            raise ValueError(
                f'the state is of another configuration: {wrong[0]} and {len(wrong) - 1} more tensors '
                'are missing, unknown or of another size; build the agent as it was when saved'
            )
        for key in own.keys() - {'generator', 'skipped'}:
            own[key].copy_(tensors[key])
        for net in self._networks().values():
            net.changed()
        self.skipped = int(tensors['skipped'])
        self.generator.set_state(tensors['generator'])

    def _networks(self) -> dict[str, Mlp]:
        nets = {
            'critic': self.critic,
            'critic_average': self.critic_average,
            'reference': self.reference,
            'reference_average': self.reference_average,
            'flow': self.flow,
        }
        return nets if self.value is None else {**nets, 'value': self.value}

    def _gradients(self, batch: StateBatch) -> Info:
        """Write the gradients of all networks, in three pairs of about equally long halves; answer their norms too."""
        noise = self._draw(len(batch.observation))
        y, rolled = both(
            lambda: self._target(batch, noise), lambda: self._roll_out(batch.observation, noise)
        )
        (cloned, met, judged), slope = both(
            lambda: (
                self._reference_gradient(batch, noise),
                self._reference_on(rolled),
                self._judge(batch),
            ),
            lambda: self._critic_slope(batch.observation, rolled.path[-1]),
        )
        learned, moved = both(
            lambda: self._critic_gradient(batch, y, judged) | self._norms(self._all_but('flow')),
            lambda: self._flow_gradient(rolled, slope, met) | self._norms(['flow']),
        )
        return learned | cloned | moved

    def _norms(self, names: list[str]) -> Info:
        return {f'{name}/gradient_norm': self.optimisers[name].norm() for name in names}

    def _all_but(self, name: str) -> list[str]:
        return [other for other in self.optimisers if other != name]

    def _draw(self, size: int) -> Noise:
        g, action = self.generator, self.config.action

        def normal() -> Tensor:
            return torch.randn(size, action, generator=g)

        next_start = normal() if self.value is None else None
        clone_start, clone_time = normal(), torch.rand(size, 1, generator=g)
        return Noise(
            next_start, clone_start, clone_time, [normal() for _ in range(self.config.steps)]
        )

    # -- the critic ------------------------------------------------------------------------------

    def _target(self, batch: StateBatch, noise: Noise) -> Tensor:
        if self.value is not None:
            return self._divl_target(batch, self.value)
        assert noise.next_start is not None
        actions = self._sample(self.flow, batch.next_observation, noise.next_start)
        q = self.critic_average.forward(torch.cat([batch.next_observation, actions], 1))[..., 0]
        v = q.mean(0) - self.config.rho * q.std(0, correction=0)
        return batch.reward + batch.discount * v

    def _divl_target(self, batch: StateBatch, value: Mlp) -> Tensor:
        """Write V's gradient; answer y."""
        config, tape = self.config.divl, list[Tape]()
        q = self.critic_average.forward(torch.cat([batch.observation, batch.action], 1))[..., 0]
        pessimist = q.mean(0) - self.config.rho * q.std(0, correction=0)
        logits = value.forward(batch.observation, tape)[0]
        wrong = logits.softmax(-1) - divl.project(pessimist, config)
        value.backward(tape, (wrong * batch.valid[:, None] / len(wrong))[None])
        return divl.q_target(
            batch.reward, batch.discount, value.forward(batch.next_observation)[0], config
        )

    def _judge(self, batch: StateBatch) -> tuple[Tensor, list[Tape]]:
        """Q of replay's chunks by every critic, (K, B), and the tape of it."""
        tape: list[Tape] = []
        return self.critic.forward(torch.cat([batch.observation, batch.action], 1), tape)[
            ..., 0
        ], tape

    def _critic_gradient(
        self, batch: StateBatch, y: Tensor, judged: tuple[Tensor, list[Tape]]
    ) -> Info:
        q, tape = judged
        error = (q - y) * batch.valid
        self.critic.backward(tape, (2 / error.numel() * error)[..., None])
        return {
            'critic/loss': error.square().mean().item(),
            'critic/q_mean': q.mean().item(),
            'critic/target_mean': y.mean().item(),
        }

    # -- the flows -------------------------------------------------------------------------------

    def _reference_gradient(self, batch: StateBatch, noise: Noise) -> Info:
        """Flow matching of replay actions."""
        start, t, tape = noise.clone_start, noise.clone_time, list[Tape]()
        x = torch.cat([batch.observation, (1 - t) * start + t * batch.action, t], 1)
        error = self.reference.forward(x, tape)[0] - (batch.action - start)
        error = error * batch.valid[:, None]
        self.reference.backward(tape, (2 / error.numel() * error)[None])
        return {'clone/loss': error.square().mean().item()}

    def _roll_out(self, observation: Tensor, noise: Noise) -> RollOut:
        """One memoryless path per state by the current flow; its last step is the reference's."""
        c, h, base = self.config, 1.0 / self.config.steps, self.reference_average
        last = c.steps - 1
        flow_prefix = self.flow.prefix(observation)
        base_prefix = base.prefix(observation)
        x = noise.path[0]
        path, moved, size = [x], list[Tensor](), len(observation)
        tape = blank_tape(self.flow.shape, c.steps * size, c.precision)
        for i in range(c.steps):
            point = self._point(observation, x, i * h)
            part = rows_of(tape, slice(i * size, (i + 1) * size))
            f = self.flow.forward(point, part, flow_prefix, c.observation)[0]
            f_b = base.forward(point, None, base_prefix, c.observation)[0]
            moved.append(f - f_b)
            if i == last:
                x = x + h * f_b
            else:
                x = (1 - h / (i * h + h)) * x + 2 * h * f
                x = x + math.sqrt(h) * sigma(i, c.steps) * noise.path[i + 1]
            path.append(x)
        return RollOut(observation, path, tape, moved, base_prefix)

    def _flow_gradient(self, rolled: RollOut, slope_at_end: Tensor, met: list[Tape]) -> Info:
        """Carry the critic's slope back through the reference and let the flow's change match it."""
        c, h, base = self.config, 1.0 / self.config.steps, self.reference_average
        size = len(rolled.observation)
        adjoint = slope_at_end / -c.temperature
        end_norm = adjoint.norm(dim=-1).mean().item()
        residuals = []
        for i in reversed(range(c.steps)):
            u, s = (i + 1) * h, sigma(i, c.steps)
            tape = rows_of(met, slice(i * size, (i + 1) * size))
            slope = base.backward(tape, adjoint[None], weights=False, inputs=True)
            assert slope is not None
            product = slope[:, c.observation : c.observation + c.action]
            adjoint = adjoint + h * (2 * product - adjoint / u)
            residuals.append(2 / s * rolled.moved[i] + s * adjoint)
        residual = torch.stack(residuals[::-1])
        weights = torch.tensor([4 / sigma(i, c.steps) / size for i in range(c.steps)])
        d = (weights[:, None, None] * residual).flatten(0, 1)
        self.flow.backward(rolled.tape, d[None])
        loss = residual.square().sum() / size
        return {'actor/loss': loss.item(), 'actor/grad_q_norm': end_norm}

    def _reference_on(self, rolled: RollOut) -> list[Tape]:
        """The reference's tape at (x_i, t_i + h) of all steps, in one pass: the path is known by now."""
        steps, tape = self.config.steps, list[Tape]()
        points = [
            self._point(rolled.observation, rolled.path[i], (i + 1) / steps) for i in range(steps)
        ]
        prefix = rolled.base_prefix.repeat(1, steps, 1)
        self.reference_average.forward(torch.cat(points), tape, prefix, self.config.observation)
        return tape

    def _critic_slope(self, observation: Tensor, chunk: Tensor) -> Tensor:
        """Gradient of the average critics' mean in the chunk, 0 outside the box: (B, D)."""
        tape: list[Tape] = []
        q = self.critic_average.forward(torch.cat([observation, chunk.clamp(-1, 1)], 1), tape)
        each = torch.full_like(q, 1 / self.config.members)
        slope = self.critic_average.backward(tape, each, weights=False, inputs=True)
        assert slope is not None
        return slope[:, self.config.observation :] * (chunk.abs() <= 1)

    def _sample(self, flow: Mlp, observation: Tensor, x: Tensor) -> Tensor:
        prefix = flow.prefix(observation)
        for i in range(self.config.steps):
            point = self._point(observation, x, i / self.config.steps)
            x = (
                x
                + flow.forward(point, None, prefix, self.config.observation)[0] / self.config.steps
            )
        return x.clamp(-1, 1)

    def _point(self, observation: Tensor, x: Tensor, t: float) -> Tensor:
        return torch.cat([observation, x, x.new_full((len(x), 1), t)], 1)
