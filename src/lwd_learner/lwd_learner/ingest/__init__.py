"""From bags in a store to frames in the replay: each committed episode exactly once, damaged ones set aside."""

from lwd_learner.ingest.align import AlignConfig, align
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.ingest import Ingest, IngestConfig
from lwd_learner.ingest.journal import IngestResult, Journal
from lwd_learner.ingest.streams import StreamLimits, read_streams

__all__ = [
    'AlignConfig',
    'DamagedEpisodeError',
    'Ingest',
    'IngestConfig',
    'IngestResult',
    'Journal',
    'StreamLimits',
    'align',
    'read_streams',
]
