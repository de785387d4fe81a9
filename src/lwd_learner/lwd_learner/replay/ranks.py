"""Data-parallel ranks on one snapshot: the barrier between two stretches of training."""

from __future__ import annotations

import torch
import torch.distributed as dist

from lwd_learner.replay.replay import Replay


def same_snapshot(replay: Replay, group: dist.ProcessGroup | None = None) -> dict[str, int]:
    """Move this rank's replay to the newest snapshot that any rank sees; every rank has to call it.

    What is committed while ranks look is seen by some and not by others: the largest version is one that exists, so
    all can move there. Follow it with `refresh` of the samplers: from then on equal seeds draw equal rows.

    Returns:
        The snapshot, the same on every rank.
    """
    latest = replay.latest_snapshot()
    newest = torch.tensor(list(latest.values()), dtype=torch.int64)
    if dist.get_backend(group) == 'nccl':
        newest = newest.cuda()
    dist.all_reduce(newest, dist.ReduceOp.MAX, group=group)
    agreed = dict(zip(latest, newest.tolist(), strict=True))
    replay.refresh(agreed)
    return agreed
