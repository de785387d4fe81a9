"""Frames of all episodes, versioned; and the transitions and batches that a learner reads from them."""

from lwd_learner.replay.adaptive import AdaptiveConfig
from lwd_learner.replay.choice import EpisodeChoice
from lwd_learner.replay.filters import (
    Predicate,
    RowView,
    both,
    demonstrations_and_human,
    everything,
    of_episodes,
    rescues_and_successes,
    successful,
)
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.layout import DATASETS, ReplayError, ReplayLayout
from lwd_learner.replay.prefetch import ImageBatch, Prefetcher
from lwd_learner.replay.replay import Replay, ReplayConfig
from lwd_learner.replay.sampler import Sampler, SamplerConfig
from lwd_learner.replay.transitions import Batch, Transitions

__all__ = [
    'DATASETS',
    'AdaptiveConfig',
    'Batch',
    'EpisodeChoice',
    'EpisodeFrames',
    'ImageBatch',
    'Predicate',
    'Prefetcher',
    'Replay',
    'ReplayConfig',
    'ReplayError',
    'ReplayLayout',
    'RowView',
    'Sampler',
    'SamplerConfig',
    'Transitions',
    'both',
    'demonstrations_and_human',
    'everything',
    'of_episodes',
    'rescues_and_successes',
    'successful',
]
