"""An episode's record as the message that tells of it."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Time

from lwd_msgs.msg import Episode
from lwd_policy_node.episode import EpisodeRecord
from lwd_policy_node.nodes.wire import stamp_of


def episode_message(record: EpisodeRecord) -> Episode:
    """The message; its stamp is that of the last change."""
    message = Episode(
        state=Episode.RUNNING if record.running else Episode.ENDED,
        episode_id=record.episode_id,
        robot_id=record.robot_id,
        task=record.task,
        instruction=record.instruction,
        kind=record.kind,
        seed=record.seed,
        started=_stamp(record.started_s),
        outcome=int(record.outcome),
        ended_by=record.ended_by,
    )
    if record.ended_s is not None:
        message.ended = _stamp(record.ended_s)
    message.header.stamp = message.started if record.running else message.ended
    return message


def _stamp(at_s: float) -> Time:
    """A stamp up to 2 us early: seconds since 1970 are whole only to .25 us, and an observation of the very tick must
    not be before the start.
    """
    return stamp_of(max(0, math.floor(at_s * 1e6) - 1) * 1000)
