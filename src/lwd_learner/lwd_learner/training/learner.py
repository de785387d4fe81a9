"""What RL trains, and one update of it: V -> Q -> EMA -> reference -> policy. One method for
offline and online.

Networks that act or judge on frozen features:

* the **reference** f_b, the action expert. `refreshed_offline`: it keeps cloning successes and human
  rescues, and its weight average acts; `refreshed`: online only; `frozen`: it stays the SFT checkpoint;
* the **edit head**: f = f_b + edit, trained by adjoint matching to tilt f_b towards Q within a
  trust region. It starts at zero, so RL starts exactly at the reference, and a moving reference
  carries the policy with it;
* the **action edit** (QAM-E, an option): a one-step change of the sampled chunk that climbs Q within a fixed scale;
* the **critic** (V, Q), which leaves the learner only with a policy that takes the best of several samples.

Which of them a run has is its `Method`. An update happens whole or not at all.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import replace

import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.config import ADVANTAGE_WORDS
from lwd_policy_node.policy.critic import Critic
from torch import Tensor, nn

from lwd_learner.algorithms import divl, iql, qam, qam_edit, recap, sft, trust_region
from lwd_learner.algorithms.flow import Flow, velocity_change, velocity_from_clean
from lwd_learner.training.accelerate import autocast, compile_networks, device_of
from lwd_learner.training.batches import TensorBatch
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.optimisation import NotFinite, Snapshot, Step, cosine, set_rate
from lwd_learner.training.ranks import Alone

Info = dict[str, float]
SMOOTHING = 0.05
"""Of lambda by the shift it asks for, per update."""

log = logging.getLogger('train')


class Learner:
    """Networks, optimisers and counters of RL on top of a policy that SFT has trained."""

    def __init__(self, policy: Policy, config: TrainConfig, ranks: Alone | None = None) -> None:
        """Start at the policy; the critic starts at random.

        Args:
            policy: what SFT has trained.
            config: of the run.
            ranks: processes that share every update; None: there is but this one.

        Raises:
            ValueError: the configured device is not there.
        """
        self.policy = policy
        self.config = config
        self.method = config.method
        self.ranks = ranks or Alone()
        self.device = device_of(config, self.ranks.rank)
        rl = config.rl
        torch.manual_seed(config.seed + 2)
        critic = Critic(policy.config, rl.critic_hidden, rl.critic_heads, config.divl.atoms)
        self.critic = critic.to(self.device)
        self.critic_ema = copy.deepcopy(self.critic).requires_grad_(False)
        policy.requires_grad_(False)
        policy.expert.to(self.device)
        self.clone = copy.deepcopy(policy.expert).requires_grad_(True)
        if policy.edit is not None:
            policy.edit.to(self.device).requires_grad_(True)
        if policy.action_edit is not None:
            policy.action_edit.to(self.device).requires_grad_(True)
        networks: dict[str, nn.Module] = {'critic': self.critic, 'clone': self.clone}
        if policy.edit is not None:
            networks['edit'] = policy.edit
        if policy.action_edit is not None:
            networks['action_edit'] = policy.action_edit
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(
                network.parameters(), weight_decay=1e-4 if name == 'clone' else 0.0, fused=True
            )
            for name, network in networks.items()
        }
        self.steps = {
            name: Step(optimiser, list(networks[name].parameters()), rl.grad_clip, self.ranks)
            for name, optimiser in self.optimisers.items()
        }
        self._before = Snapshot(
            [*networks.values(), self.critic_ema, policy.expert], list(self.optimisers.values())
        )
        if config.compile:
            compile_networks(self)
        self.step = 0
        self.skipped = 0
        self.divl_config = self._divl(config.offline.tau_base)
        """DIVL's settings with the level of the stage under way."""
        self.q_error: Tensor | None = None
        """Squared error of Q at each transition of the last batch, (B,); None if the update did not come to it."""
        self.temperature: float | None = None
        self.log_alpha = math.log(qam_edit.START_ALPHA)
        self.generator = torch.Generator(self.device).manual_seed(config.seed + 3)

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds besides the policy."""
        return {'critic': self.critic, 'critic_ema': self.critic_ema, 'clone': self.clone}

    def lend_critic(self) -> None:
        """Let the policy choose between its samples by the critic as it is now, if that is what the policy does."""
        if self.policy.critic is not None and self.method.values and self.step:
            self.policy.critic.load_state_dict(self.critic_ema.state_dict())
            self.policy.critic_trained.fill_(1.0)

    def update(
        self,
        batch: TensorBatch,
        clone_batch: TensorBatch | None,
        tau_base: float,
        progress: float = 0.0,
    ) -> Info:
        """One update, of every network or of none.

        Args:
            batch: transitions of everything, for V, Q and the policy.
            clone_batch: what the method clones, for the reference; None leaves it.
            tau_base: DIVL's level in this stage.
            progress: of the stage, for rates that fall.

        Returns:
            What to log; with ``skipped/<network>`` alone when the update was undone.
        """
        self.step += 1
        self.q_error = None
        self.divl_config = self._divl(tau_base)
        self._set_rates(progress)
        self._before.take()
        batch, clone_batch = self.ranks.divide(batch, clone_batch, tau_base, progress)
        if self.ranks.rank:
            self.generator.manual_seed(self._seed_of_member())
        try:
            info = self.ranks.mean(self._update(batch.to(self.device), clone_batch))
        except NotFinite as error:
            self._before.restore()
            self.skipped += 1
            log.warning('update %d left out whole: %s is not finite', self.step, error)
            info = {f'skipped/{error}': 1.0}
        self.ranks.end_update()
        return info

    def _update(self, batch: TensorBatch, clone_batch: TensorBatch | None) -> Info:
        info: Info = {}
        if self.method.values:
            info |= self._critic_update(batch, self.divl_config)
        if clone_batch is not None and self.config.clones_online:
            info |= self._clone_update(clone_batch.to(self.device), self.divl_config)
        due = self.step % self.config.rl.actor_every == 0
        if self.method.tilts and self.policy.edit is not None and due:
            info |= self._actor_update(batch)
        return info

    def _seed_of_member(self) -> int:
        """Of its noise in this update: no other's, and the same after a resume."""
        ranks = self.ranks
        return (self.config.seed + 3) * 1_000_003 + self.step * ranks.count + ranks.rank

    def _divl(self, tau_base: float) -> divl.DivlConfig:
        config = replace(self.config.divl, tau_base=tau_base)
        return replace(config, statistic='expectile') if self.method.expectile else config

    def _set_rates(self, progress: float) -> None:
        rl = self.config.rl
        factor = cosine(progress) if rl.schedule == 'cosine' else 1.0
        rise = min(1.0, self.step / max(rl.actor_warmup, 1))
        actor = rl.actor_lr * rise
        rates = {
            'critic': rl.critic_lr,
            'clone': rl.clone_lr,
            'edit': actor,
            'action_edit': actor,
        }
        for name, optimiser in self.optimisers.items():
            set_rate(optimiser, rates[name] * factor)

    def _take(self, name: str, loss: Tensor) -> None:
        """Step one network.

        Raises:
            NotFinite: its loss or gradient is not finite.
        """
        if not self.steps[name](loss):
            raise NotFinite(name)

    def _critic_update(self, batch: TensorBatch, config: divl.DivlConfig) -> Info:
        critic, ema = self.critic, self.critic_ema
        value_loss = iql.value_loss if config.statistic == 'expectile' else divl.value_loss
        with torch.no_grad(), autocast(self.config):
            replay_q = ema.q(
                ema.readout(batch.features, batch.text, batch.state), batch.chunk, batch.steps
            )
        with autocast(self.config):
            logits = critic.value_logits(critic.readout(batch.features, batch.text, batch.state))
        loss, info = value_loss(logits.float(), replay_q.float(), config)
        self._take('critic', loss)
        with torch.no_grad(), autocast(self.config):
            next_logits = critic.value_logits(
                critic.readout(batch.next_features, batch.text, batch.next_state)
            )
        target = divl.q_target(batch.reward, batch.discount, next_logits.float(), config)
        with autocast(self.config):
            q = critic.q(
                critic.readout(batch.features, batch.text, batch.state), batch.chunk, batch.steps
            )
        critic_loss, more = divl.critic_loss(q.float(), target)
        self.q_error = self.ranks.joined((q.detach().float() - target).square().mean(0))
        self._take('critic', critic_loss)
        divl.ema_update(ema, critic, self.config.rl.ema)
        return info | more

    def _clone_update(self, batch: TensorBatch, config: divl.DivlConfig) -> Info:
        noise = torch.randn(batch.state.shape, generator=self.generator, device=self.device)
        state = batch.state + self.config.sft.state_noise * noise
        text, info = self._conditioned(batch, config)

        with autocast(self.config):
            context = self.clone.head.c_in(self.clone.encode(batch.features, text, state))

        def head(x: Tensor, t: Tensor) -> Tensor:
            with autocast(self.config):
                clean: Tensor = self.clone.head.from_context(x, t, context)
            return clean.float()

        loss, found = sft.flow_matching_loss(
            head,
            batch.chunk,
            batch.entries,
            self.generator,
            draws=self.config.rl.clone_draws,
        )
        self._take('clone', loss)
        divl.ema_update(self.policy.expert, self.clone, self.config.rl.clone_ema)
        return info | {'clone/loss': found['sft/loss']}

    @torch.no_grad()
    def _conditioned(self, batch: TensorBatch, config: divl.DivlConfig) -> tuple[Tensor, Info]:
        """Instructions that say, for RECAP, whether the chunk was better than expected."""
        if not self.method.conditions:
            return batch.text, {}
        self._learn_words()
        ema = self.critic_ema
        readout = ema.readout(batch.features, batch.text, batch.state)
        q = ema.q(readout, batch.chunk, batch.steps).amin(0)
        advantage = q - divl.state_value(ema.value_logits(readout), config)
        settings = self.config.recap
        positive = recap.indicator(advantage, batch.correction, settings)
        words = self.policy.advantage_words.to(self.device)
        text = recap.condition(batch.text, positive, words, settings.dropout, self.generator)
        return text, {
            'recap/advantage_mean': advantage.mean().item(),
            'recap/positive_share': positive.float().mean().item(),
        }

    def _learn_words(self) -> None:
        """From here on the policy is guided: SFT knew instructions alone, and its policy must act as it was trained."""
        words = self.policy.advantage_words
        if not words.any():
            words.copy_(self.policy.sentences.embed(ADVANTAGE_WORDS))

    def _actor_update(self, batch: TensorBatch) -> Info:
        assert self.policy.edit is not None
        size, config = self.config.rl.actor_batch_size // self.ranks.count, self.config.qam
        base_head, edit_head = self.policy.expert.head, self.policy.edit.head
        # Spread over the batch: it has offline transitions first, then online ones, and is sorted by task.
        rows = torch.arange(size, device=self.device) * len(batch.state) // size
        features, text, state = batch.features[rows], batch.text[rows], batch.state[rows]
        with torch.no_grad(), autocast(self.config):
            prefix = self.policy.expert.encode(features, text, state)
            base_context = base_head.c_in(prefix)
            readout = self.critic_ema.readout(features, text, state)
        with autocast(self.config):
            edit_context = edit_head.c_in(prefix)
        all_steps = torch.ones_like(batch.steps[rows])

        def base(x: Tensor, t: Tensor) -> Tensor:
            with autocast(self.config):
                clean: Tensor = base_head.from_context(x, t, base_context)
            return clean.float()

        def edit(x: Tensor, t: Tensor) -> Tensor:
            with autocast(self.config):
                change: Tensor = edit_head.from_context(x, t, edit_context)
            return change.float()

        def q(chunk: Tensor) -> Tensor:
            with autocast(self.config):
                heads = self.critic_ema.q(readout, chunk, all_steps)
            return heads.float().amin(0)

        chunk = batch.chunk[rows]
        x0 = torch.randn(chunk.shape, generator=self.generator, device=self.device)
        tilted: Flow = edit
        reference: Flow = base
        if config.euler:  # in velocities
            tilted = velocity_change(edit, config.steps)
            reference = velocity_from_clean(base, config.steps)
        loss, info = qam.edit_loss(
            tilted, reference, q, x0, config, self.generator, self.temperature, chunk
        )
        self._take('edit', loss)
        if self.policy.action_edit is not None:
            shape = self.policy.config
            flow = qam_edit.sample_clean(
                base, edit, x0 * shape.start_noise, shape.flow_steps, shape.edit_last
            )
            info |= self._action_edit_update(self.policy.action_edit, prefix, flow, q)
        info = self.ranks.mean(info)
        self._move_temperature(info)
        return info

    def _action_edit_update(
        self, network: nn.Module, prefix: Tensor, chunk: Tensor, q: qam.QFunction
    ) -> Info:
        """QAM-E: the edit behind the flow climbs Q, its entropy held at a target."""
        config = self.config.qam
        with autocast(self.config):
            out = network(prefix, chunk)
        action, log_pi = qam_edit.edited(
            out.float(), chunk, self.policy.config.action_edit, self.generator
        )
        slope = -qam.terminal_adjoint(q, action, config.box)
        alpha = math.exp(self.log_alpha)
        loss = qam_edit.edit_policy_loss(action, log_pi, slope, alpha)
        self._take('action_edit', loss)
        entropy = self.ranks.mean({'': -log_pi.mean().item()})[''] / chunk.shape[-1]
        self.log_alpha = qam_edit.alpha_step(
            self.log_alpha, -entropy, config.action_edit_entropy, qam_edit.ALPHA_RATE
        )
        moved = torch.linalg.vector_norm(action.detach() - chunk, dim=-1).mean()
        return {
            'action_edit/loss': loss.item(),
            'action_edit/alpha': alpha,
            'action_edit/entropy_per_entry': entropy,
            'action_edit/shift': moved.item(),
        }

    def _move_temperature(self, info: Info) -> None:
        """lambda follows the trust region: smoothed, or a step of the dual."""
        config, found = self.config.qam, info['actor/temperature_region']
        if config.temperature is not None:
            return
        if self.temperature is None:
            self.temperature = (
                found / trust_region.DUAL_FACTOR if config.trust_region == 'dual' else found
            )
        elif config.trust_region == 'dual':
            self.temperature = trust_region.dual_step(
                self.temperature, info['actor/path_kl'], config.kl_budget, config.dual_rate
            )
        else:
            self.temperature = (1 - SMOOTHING) * self.temperature + SMOOTHING * found
