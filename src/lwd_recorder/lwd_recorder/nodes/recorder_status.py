"""What recorder_node says of itself and of every topic on /diagnostics."""

from __future__ import annotations

import time

from lwd_recorder.nodes.status import Level, Status
from lwd_recorder.recording import Recorder, TopicState


def recorder_statuses(recorder: Recorder, backlog: int) -> list[Status]:
    """Return the status of the recorder and one of each topic; rates are since the last call."""
    level, text = Level.OK, recorder.episode_id or 'waiting for an episode'
    if recorder.warning:
        level, text = Level.WARN, recorder.warning
    if recorder.dropped:
        level, text = Level.WARN, f'{recorder.dropped} messages dropped: queue full'
    stopped = recorder.stopped()
    if stopped:
        level = Level.ERROR
        text = ', '.join(f'{name} stopped {silent_s:.1f} s ago' for name, silent_s in stopped)
    if recorder.trouble:
        level, text = Level.ERROR, recorder.trouble
    preroll_bytes, pending_bytes = recorder.held_bytes
    values = {
        'episode_id': recorder.episode_id,
        'backlog': str(backlog),
        'pending_bytes': str(pending_bytes),
        'preroll_bytes': str(preroll_bytes),
        'dropped': str(recorder.dropped),
    }
    try:
        values['free_bytes'] = str(recorder.spool.free_bytes())
    except OSError as error:
        level, text = Level.ERROR, f'{error.filename}: {error.strerror}'
    return [
        Status(level, text, values),
        *(_of_topic(state) for state in recorder.audit.look(time.monotonic())),
    ]


def _of_topic(state: TopicState) -> Status:
    level, text = Level.OK, f'{state.rate_hz:.1f} Hz'
    if state.missing or state.lost or state.dropped:
        gone = f'{state.missing} missing, {state.lost} lost, {state.dropped} dropped'
        level, text = Level.WARN, f'{text}; {gone} in this episode'
    if state.silent_s:
        level, text = Level.ERROR, f'stopped {state.silent_s:.1f} s ago'
    values = {
        'rate_hz': f'{state.rate_hz:.2f}',
        'max_gap_s': f'{state.max_gap_s:.4f}',
        'missing': str(state.missing),
        'lost': str(state.lost),
        'dropped': str(state.dropped),
        'latency_s': f'{state.latency_s:.4f}',
        'max_latency_s': f'{state.max_latency_s:.4f}',
    }
    return Status(level, text, values, part=state.name.strip('/'))
