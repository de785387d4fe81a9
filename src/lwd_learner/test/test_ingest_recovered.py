"""An episode that was repaired after a crash is taken by the same rules as any other that has no verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay
from lwd_learner.replay.segments import CUT, SUCCESS
from lwd_policy_node.profile import RobotProfile
from lwd_recorder.delivery import deliver
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.store import FolderStore
from rclpy.serialization import serialize_message

from lwd_msgs.msg import Episode


def time(ns: int) -> Time:
    return Time(sec=ns // 10**9, nanosec=ns % 10**9)


@pytest.mark.parametrize(('ended', 'ending'), [(False, CUT), (True, SUCCESS)])
def test_recovered_episode_is_taken(
    tmp_path: Path, send: Any, hand_made: Any, profile: RobotProfile, ended: bool, ending: int
) -> None:
    """Without a recorded end it is aborted, and its last action is no step; with one it counts as what it was."""
    made = hand_made()
    start_ns, end_ns = 1_000 * 10**9, made.end_ns
    facts = {
        'episode_id': made.episode_id,
        'robot_id': made.robot_id,
        'task': made.task,
        'kind': made.kind,
        'started': time(start_ns),
    }
    said = [(Episode(state=Episode.RUNNING, **facts), start_ns)]
    if ended:
        last = Episode(
            state=Episode.ENDED, ended=time(end_ns), outcome=Episode.OUTCOME_SUCCESS, **facts
        )
        said.append((last, end_ns))
    made.extra = [
        ('episode', 'lwd_msgs/msg/Episode', serialize_message(message), log_ns)
        for message, log_ns in said
    ]
    folder = tmp_path / 'bags' / made.episode_id
    send(made)  # into a store that nobody reads; the bag itself is what is of use here
    (folder / 'metadata.yaml').unlink()
    path = folder / f'{made.episode_id}_0.mcap'
    path.write_bytes(path.read_bytes()[:-100])  # killed while the summary was written

    manifest = recover_bag(folder, tmp_path / 'aside', profile.name)
    assert manifest.recovered
    assert manifest.outcome == ('success' if ended else 'aborted')
    store = FolderStore(tmp_path / 'other')
    deliver(store, folder)
    replay = Replay.create(tmp_path / 'replay', profile)
    ingest = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl')
    [result] = ingest.poll()
    assert result.quarantined is None
    assert result.frames == len(made.sources)
    index = replay.index('online')
    assert list(index.ending.data) == [ending] * result.frames
    ingest.close()
