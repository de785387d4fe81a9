"""What RL trains, and one update of it: V -> Q -> EMA -> reference -> policy. One method for
offline and online.

Three networks act or judge on frozen features:

* the **reference** f_b, the action expert. `refreshed`: it keeps cloning successes and human
  rescues, offline and online, and its weight average acts; `frozen`: it stays the SFT checkpoint;
* the **edit head**: f = f_b + edit, trained by adjoint matching to tilt f_b towards Q within a
  trust region. It starts at zero, so RL starts exactly at the reference, and a moving reference
  carries the policy with it;
* the **critic** (V, Q), which never leaves the learner.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from lwd_policy_node.policy import Policy
from torch import Tensor, nn

from lwd_learner.algorithms import divl, qam, sft
from lwd_learner.training.batches import TensorBatch
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.critic import Critic
from lwd_learner.training.optimisation import Step

Info = dict[str, float]


class Learner:
    """Networks, optimisers and counters of RL on top of a policy that SFT has trained."""

    def __init__(self, policy: Policy, config: TrainConfig) -> None:
        """Start at the policy; the critic starts at random."""
        self.policy = policy
        self.config = config
        rl = config.rl
        torch.manual_seed(config.seed + 2)
        self.critic = Critic(policy.config, rl.critic_hidden, rl.critic_heads, config.divl.atoms)
        self.critic_ema = copy.deepcopy(self.critic).requires_grad_(False)
        self.clone = copy.deepcopy(policy.expert).requires_grad_(True)
        policy.requires_grad_(False)
        edit = list(policy.edit.parameters()) if policy.edit is not None else []
        for parameter in edit:
            parameter.requires_grad_(True)
        critic, clone = list(self.critic.parameters()), list(self.clone.parameters())
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            'critic': torch.optim.Adam(critic, lr=rl.critic_lr),
            'clone': torch.optim.AdamW(clone, lr=rl.clone_lr, weight_decay=1e-4),
        }
        if edit:
            self.optimisers['edit'] = torch.optim.AdamW(edit, lr=rl.actor_lr, weight_decay=0.0)
        parameters = {'critic': critic, 'clone': clone, 'edit': edit}
        self.steps = {
            name: Step(optimiser, parameters[name], rl.grad_clip)
            for name, optimiser in self.optimisers.items()
        }
        self.step = 0
        self.temperature: float | None = None
        self.generator = torch.Generator().manual_seed(config.seed + 3)

    @property
    def uses_q(self) -> bool:
        """Whether the algorithm learns V and Q and tilts the policy by them."""
        return self.config.algorithm == 'lwd'

    @property
    def clones(self) -> bool:
        """Whether the reference is refreshed by cloning."""
        return self.config.algorithm != 'lwd' or self.config.reference == 'refreshed'

    @property
    def skipped(self) -> int:
        """Steps left out because something was not finite."""
        return sum(step.skipped for step in self.steps.values())

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds besides the policy."""
        return {'critic': self.critic, 'critic_ema': self.critic_ema, 'clone': self.clone}

    def update(self, batch: TensorBatch, clone_batch: TensorBatch | None, tau_base: float) -> Info:
        """One update.

        Args:
            batch: transitions of everything, for V, Q and the policy.
            clone_batch: successes and rescues, for the reference; None leaves it.
            tau_base: DIVL's level in this stage.

        Returns:
            What to log.
        """
        info: Info = {}
        self.step += 1
        if self.uses_q:
            info |= self._critic_update(batch, replace(self.config.divl, tau_base=tau_base))
        if clone_batch is not None and self.clones:
            info |= self._clone_update(clone_batch)
        if (
            self.uses_q
            and self.policy.edit is not None
            and self.step % self.config.rl.actor_every == 0
        ):
            info |= self._actor_update(batch)
        return info

    def _critic_update(self, batch: TensorBatch, config: divl.DivlConfig) -> Info:
        critic, ema = self.critic, self.critic_ema
        with torch.no_grad():
            replay_q = ema.q(
                ema.readout(batch.features, batch.text, batch.state), batch.chunk, batch.steps
            )
        logits = critic.value_logits(critic.readout(batch.features, batch.text, batch.state))
        value_loss, info = divl.value_loss(logits, replay_q, config)
        if not self.steps['critic'](value_loss):
            return info
        with torch.no_grad():
            next_logits = critic.value_logits(
                critic.readout(batch.next_features, batch.text, batch.next_state)
            )
        target = divl.q_target(batch.reward, batch.discount, next_logits, config)
        q = critic.q(
            critic.readout(batch.features, batch.text, batch.state), batch.chunk, batch.steps
        )
        critic_loss, more = divl.critic_loss(q, target)
        if self.steps['critic'](critic_loss):
            divl.ema_update(ema, critic, self.config.rl.ema)
        return info | more

    def _clone_update(self, batch: TensorBatch) -> Info:
        noise = torch.randn(batch.state.shape, generator=self.generator)
        state = batch.state + self.config.sft.state_noise * noise
        context = self.clone.head.c_in(self.clone.encode(batch.features, batch.text, state))
        loss, info = sft.flow_matching_loss(
            lambda x, t: self.clone.head.from_context(x, t, context),
            batch.chunk,
            batch.entries,
            self.generator,
            draws=self.config.rl.clone_draws,
        )
        if self.steps['clone'](loss):
            divl.ema_update(self.policy.expert, self.clone, self.config.rl.clone_ema)
        return {'clone/loss': info['sft/loss']}

    def _actor_update(self, batch: TensorBatch) -> Info:
        assert self.policy.edit is not None
        rl, size = self.config.rl, self.config.rl.actor_batch_size
        base_head, edit_head = self.policy.expert.head, self.policy.edit.head
        features, text, state = batch.features[:size], batch.text[:size], batch.state[:size]
        with torch.no_grad():
            prefix = self.policy.expert.encode(features, text, state)
            base_context = base_head.c_in(prefix)
            readout = self.critic_ema.readout(features, text, state)
        edit_context = edit_head.c_in(prefix)
        all_steps = torch.ones_like(batch.steps[:size])

        def base(x: Tensor, t: Tensor) -> Tensor:
            clean: Tensor = base_head.from_context(x, t, base_context)
            return clean

        def edit(x: Tensor, t: Tensor) -> Tensor:
            change: Tensor = edit_head.from_context(x, t, edit_context)
            return change

        def q(chunk: Tensor) -> Tensor:
            return self.critic_ema.q(readout, chunk, all_steps).amin(0)

        for group in self.optimisers['edit'].param_groups:
            group['lr'] = rl.actor_lr * min(1.0, self.step / max(rl.actor_warmup, 1))
        x0 = torch.randn(batch.chunk[:size].shape, generator=self.generator)
        loss, info = qam.edit_loss(
            edit, base, q, x0, self.config.qam, self.generator, self.temperature
        )
        if self.steps['edit'](loss):
            found = info['actor/temperature_region']
            self.temperature = (
                found if self.temperature is None else 0.95 * self.temperature + 0.05 * found
            )
        return info
