"""From streams to chunks: assemble observations, decide when to plan, run the policy. No rclpy."""

from lwd_policy_node.inference.cadence import Cadence
from lwd_policy_node.inference.ensemble import Ensemble
from lwd_policy_node.inference.observation import Observation, ObservationAssembler
from lwd_policy_node.inference.planner import ChunkRejected, Planner
from lwd_policy_node.inference.slot import LoadedWeights, PolicySlot
from lwd_policy_node.inference.worker import EpisodeFacts, Told, Worker

__all__ = [
    'Cadence',
    'ChunkRejected',
    'Ensemble',
    'EpisodeFacts',
    'LoadedWeights',
    'Observation',
    'ObservationAssembler',
    'Planner',
    'PolicySlot',
    'Told',
    'Worker',
]
