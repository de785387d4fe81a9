"""Everything that a training run can be told. The command line, the run's record and the checks
are made from it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from lwd_policy_node.places import default_store, lwd_home

from lwd_learner.algorithms import METHODS, Method
from lwd_learner.algorithms.divl import DivlConfig
from lwd_learner.algorithms.qam_config import QamConfig
from lwd_learner.algorithms.recap import RecapConfig
from lwd_learner.ingest import IngestConfig, StreamLimits
from lwd_learner.ingest.bag_messages import MAX_EPISODE_BYTES, BagLimits

Algorithm = Literal['lwd', 'iql', 'refresh_only', 'filtered_bc', 'hg_dagger', 'recap', 'sft']


@dataclass(frozen=True, slots=True)
class SftConfig:
    """Behaviour cloning of successful demonstrations, and the encoder's only training."""

    vision: Literal['shipped', 'train'] = 'shipped'
    """The pre-trained vision tower of the package, frozen, where there is one; or train it on the demonstrations."""
    steps: int = 1100
    """Steps that train encoder and expert together on images, at most; none with a shipped vision tower."""
    seconds: float = 0.0
    """Wall time of those steps, at most; 0: bounded by steps alone, and so the same on any machine and after a kill."""
    batch_size: int = 96
    """Observations of a step."""
    draws: int = 4
    """Noise levels per observation: the head learns more from each encoded image."""
    lr: float = 1e-3
    """Peak learning rate, AdamW, cosine."""
    weight_decay: float = 1e-4
    """AdamW weight decay."""
    label_weight: float = 1.0
    """Weight of the auxiliary loss on object positions; 0 trains the encoder by cloning alone."""
    image_shift_px: int = 0
    """Images are shifted by up to so many pixels, a shift per camera and sample."""
    state_noise: float = 0.02
    """Noise added to normalised states in training."""
    head_steps: int = 2000
    """Steps that train the expert alone on the frozen encoder's features, at most."""
    head_seconds: float = 0.0
    """Wall time of those, at most; 0: bounded by steps alone."""


@dataclass(frozen=True, slots=True)
class RlConfig:
    """What offline and online RL share. Sizes and rates suit `tiny`; the paper's are for
    billion-parameter models.
    """

    batch_size: int = 256
    """Transitions of a critic step."""
    gamma: float = 0.995
    """Discount per control step at 30 Hz; the paper's .9999 leaves seconds-long tasks without a
    sense of time.
    """
    critic_lr: float = 5e-4
    """Adam learning rate of V and Q."""
    critic_hidden: int = 256
    """Width of the critic's own trunk."""
    critic_heads: int = 2
    """Q heads; the minimum over their EMA is V's target."""
    ema: float = 0.005
    """EMA rate of the critic."""
    held_out_every: int = 10
    """Every so-manieth episode of each data set is kept from V and Q, to measure them on; 0: none."""
    clone_batch_size: int = 256
    """Observations of a cloning step."""
    clone_draws: int = 2
    """Noise levels per observation."""
    clone_lr: float = 3e-4
    """AdamW learning rate of the reference while it is refreshed."""
    clone_ema: float = 0.01
    """EMA rate of the reference's weights; the average is what acts."""
    actor_batch_size: int = 64
    """States of an adjoint-matching step."""
    actor_lr: float = 1e-4
    """AdamW learning rate of the edit head, after warm-up."""
    actor_warmup: int = 100
    """Steps of linear warm-up of the actor's learning rate."""
    actor_every: int = 2
    """An adjoint-matching step every so many updates."""
    schedule: Literal['constant', 'cosine'] = 'constant'
    """Of all learning rates over a stage, after warm-up."""
    grad_clip: float = 1.0
    """Largest gradient norm, for each network apart: a joint clip would couple actor and critic."""


@dataclass(frozen=True, slots=True)
class OfflineConfig:
    """Offline RL: everything ingested so far."""

    steps: int = 500
    """Updates, at most."""
    seconds: float = 0.0
    """Wall time, at most; 0: bounded by steps alone."""
    n_step: int = 3
    """Chunks of a backup: n = 10 was best early in an episode and on long tasks, n = 1 late."""
    tau_base: float = 0.6
    """DIVL's quantile level for a certain V."""


@dataclass(frozen=True, slots=True)
class OnlineConfig:
    """Online RL: robots act, episodes arrive, weights go out."""

    n_step: int = 1
    """Chunks of a backup; a long one would cross policy and human segments."""
    tau_base: float = 0.9
    """DIVL's quantile level for a certain V."""
    online_share: float = 0.5
    """Share of online transitions in every batch."""
    adaptive_share: bool = False
    """Let each task's share follow Q's losses from there on, between .2 and .8 (SOP)."""
    publish_steps: int = 50
    """Updates between two published versions, at least."""
    publish_seconds: float = 12.0
    """Wall time between two published versions, at least."""
    poll_seconds: float = 0.5
    """Wall time between two looks at the store."""
    wait_for_episodes: int = 4
    """Online episodes before the first update."""
    nice: int = 10
    """Niceness of the updates: robots that share the machine must not wait for them. Linux compares it within a session
    only, unless kernel.sched_autogroup_enabled is 0.
    """
    updates_per_frame: float = 0.0
    """Cap on updates per online control step; 0 for none: as many as the machine gives."""


@dataclass(frozen=True, slots=True)
class WeightsConfig:
    """How weights reach the robots."""

    kept: int = 5
    """Published versions kept on disk, besides those in use and the last two to go back to."""
    uris: tuple[str, ...] = ()
    """Where robots can have them besides the service: file, http://host:port, s3://bucket/prefix."""
    precision: Literal['as_trained', 'bfloat16'] = 'as_trained'
    """bfloat16: matrices take half the bytes; vectors, and with them the scaling of actions, stay."""
    canary_share: float = 0.0
    """Share of the robots that try each version out first; 0: all get it at once."""
    canary_episodes: int = 20
    """Episodes of theirs after which it may go to all."""
    canary_margin: float = 0.05
    """Success rate by which it may be below the others'."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run."""

    run_dir: Path = field(default_factory=lambda: lwd_home() / 'train')
    """Checkpoints, replay, metrics, status."""
    store: str = field(default_factory=default_store)
    """Where robots upload episodes: a folder or s3://bucket/prefix."""
    profile: str = 'g1_laptop'
    """Robot profile: a known name or a path to a YAML."""
    max_episode_bytes: int = MAX_EPISODE_BYTES
    """An episode of the store of more bytes is quarantined."""
    tasks: tuple[str, ...] = ('restock',)
    """Tasks that evaluation runs, in turn."""
    online_minutes: float = 5.0
    """Wall time of the online stage, waiting included; 0 ends after offline RL, inf goes on until it is stopped
    (learning rates then do not fall). Another time later needs `allow_drift`; a run that is done is not extended.
    """
    eval_episodes: int = 100
    """Simulated episodes after each stage, always the same seeds; 0 for no evaluation."""
    eval_best_of: int = 1
    """Also evaluate the best of so many samples by Q, in the stages that have learned a Q; 1: do not."""
    eval_workers: int = 0
    """Processes that evaluate; 0 for one per core."""
    preset: str = 'tiny'
    """Size of the policy."""
    algorithm: Algorithm = 'lwd'
    """LWD (DIVL + QAM); expectile IQL + QAM; or a control without a tilt: LWD's refreshed reference alone, cloning of
    successes and rescues, of demonstrations and human segments, of everything by its advantage, or SFT and no more.
    """
    reference: Literal['refreshed', 'refreshed_offline', 'frozen'] = 'refreshed_offline'
    """QAM's reference: cloned further on successes and rescues online only, or from the offline stage on, or the SFT
    checkpoint for good (paper).
    """
    best_of: int = 1
    """Samples of a robot's plan, of which it executes the one with the largest Q: the critic then travels with the
    weights. 1: one sample, and the critic stays here. For methods with values.
    """
    sft: SftConfig = field(default_factory=SftConfig)
    """Behaviour cloning."""
    rl: RlConfig = field(default_factory=RlConfig)
    """Critic and policy updates."""
    divl: DivlConfig = field(default_factory=DivlConfig)
    """Value learning; tau_base comes from the stage."""
    qam: QamConfig = field(default_factory=QamConfig)
    """Policy extraction."""
    recap: RecapConfig = field(default_factory=RecapConfig)
    """Advantage-conditioned cloning."""
    offline: OfflineConfig = field(default_factory=OfflineConfig)
    """Offline stage."""
    online: OnlineConfig = field(default_factory=OnlineConfig)
    """Online stage."""
    private_key: Path = field(default_factory=lambda: lwd_home() / 'keys' / 'learner.ed25519')
    """Ed25519 key that signs weights."""
    publish: bool = True
    """Announce and serve weights to robots over ROS 2."""
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    """Where they can be had, and who gets them first."""
    seed: int = 0
    """Of weights, batches and noise."""
    device: Literal['cpu', 'cuda'] = 'cpu'
    """Where networks are trained and images encoded."""
    precision: Literal['float32', 'bfloat16'] = 'float32'
    """Of products in RL updates (autocast); weights, losses and averages stay float32."""
    compile: bool = False
    """torch.compile of the networks; only on a GPU."""
    num_workers: int = 1
    """Processes that share every RL update, each with a GPU of its own (with device cpu: with cores of its own); the
    batch sizes are those of all together, and multiples of it.
    """
    threads: int = 0
    """torch threads of SFT and offline RL; 0 for all cores."""
    online_threads: int = 1
    """torch threads online, where robots share the machine."""
    checkpoint_seconds: float = 30.0
    """Wall time between two checkpoints inside a stage: what a kill costs at most."""
    metrics_seconds: float = 1.0
    """Wall time between two rows of metrics; 0 writes one for every step."""
    diagnostics_seconds: float = 20.0
    """Wall time between two measurements of drift and of the critic on held-out episodes."""
    resume: bool = False
    """Go on from the last checkpoint of run_dir; without it a run_dir that holds one is refused. Also refused when the
    configuration, the replay or the code is another.
    """
    check: bool = False
    """Train nothing: look at data, labels, shapes, ends of episodes and memory, take one step and one sample, and say
    what is wrong. Changes neither run_dir nor store; exit code 1 if anything is.
    """
    json: bool = False
    """With check: print JSON."""
    allow_drift: bool = False
    """Resume all the same, and log what is different."""

    @property
    def method(self) -> Method:
        """What `algorithm` trains, and on what."""
        return METHODS[self.algorithm]

    @property
    def ingest(self) -> IngestConfig:
        """What is believed of an episode of the store."""
        return IngestConfig(limits=StreamLimits(bag=BagLimits(max_bytes=self.max_episode_bytes)))

    @property
    def clones_offline(self) -> bool:
        """Whether the flow goes on cloning in the offline stage."""
        early = self.method.has_reference and self.reference == 'refreshed_offline'
        return self.method.clones_offline or early

    @property
    def clones_online(self) -> bool:
        """Whether the flow goes on cloning while robots act."""
        frozen = self.method.tilts and self.reference == 'frozen'
        return self.method.clones != 'nothing' and not frozen


def record(config: TrainConfig) -> dict[str, object]:
    """The configuration as plain data for config.json."""
    return {
        k: str(v) if isinstance(v, Path) or v == math.inf else v for k, v in asdict(config).items()
    }
