"""What a run tells the outside: status.json (live view), metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lwd_recorder.durable import write_atomically
from torch.utils.tensorboard import SummaryWriter

SHOWN = {
    'sft/loss': 'clone',
    'sft/label_loss': 'labels',
    'clone/loss': 'clone',
    'value/loss': 'value',
    'critic/loss': 'critic',
    'critic/q_mean': 'q',
    'actor/loss': 'actor',
}
"""Metrics that the live view shows, and their short names."""
STATUS_PERIOD_S = 1.0


class Status:
    """Collects the state of a run; writes it atomically about once a second."""

    def __init__(self, run_dir: Path, logged: int = 0, metrics_seconds: float = 1.0) -> None:
        """Continue the status of an interrupted run: figures of finished stages are kept.

        Args:
            run_dir: the run's folder.
            logged: steps before the checkpoint that is resumed. Later rows of metrics.jsonl are of steps that will be
                taken again: of two rows of one step the later one counts. TensorBoard forgets the first.
            metrics_seconds: wall time between two rows.
        """
        self._path = run_dir / 'status.json'
        metrics = run_dir / 'metrics.jsonl'
        if metrics.exists():
            _drop_torn_line(metrics)
        self._metrics = metrics.open('a', buffering=1)
        self.board = SummaryWriter(str(run_dir / 'tensorboard'), purge_step=logged + 1)
        self._period_s = metrics_seconds
        self._began = time.monotonic()
        self._written = self._logged = 0.0
        self._logged_stage = ''
        self.logged = logged
        """Steps of all stages so far."""
        self.fields: dict[str, Any] = {
            'stage': 'start',
            'step': 0,
            'total_steps': 0,
            'message': '',
            'losses': {},
            'version': 0,
            'episodes': {'offline': 0, 'online': 0},
            'quarantined': 0,
            'success_by_version': {},
            'eval': {},
            'critic': {},
            'short': {},
            'wall_s': 0.0,
        }
        if self._path.exists():
            before = json.loads(self._path.read_text())
            for key in ('version', 'eval', 'critic', 'short', 'success_by_version'):
                self.fields[key] = before.get(key, self.fields[key])

    def set(self, force: bool = False, **fields: Any) -> None:
        """Change fields; write when a second has passed, or at once with `force`."""
        self.fields.update(fields)
        now = time.monotonic()
        if not force and now - self._written < STATUS_PERIOD_S:
            return
        self._written = now
        self.fields['wall_s'] = round(now - self._began, 1)
        write_atomically(self._path, json.dumps(self.fields).encode())

    def log(
        self, stage: str, step: int, total: int, info: Mapping[str, float], **more: Any
    ) -> None:
        """Record metrics of a step (one in `metrics_seconds` is kept) and move the status on."""
        losses = {SHOWN[k]: float(v) for k, v in info.items() if k in SHOWN and math.isfinite(v)}
        self.set(
            stage=stage,
            step=step,
            total_steps=total,
            losses=self.fields['losses'] | losses,
            **more,
        )
        now = time.monotonic()
        self.logged += 1
        if now - self._logged < self._period_s and stage == self._logged_stage:
            return
        self._logged, self._logged_stage = now, stage
        row: dict[str, Any] = {k: v for k, v in info.items() if math.isfinite(v)}
        self._metrics.write(
            json.dumps(
                {'stage': stage, 'step': step, 'wall_s': round(now - self._began, 2), **row}
            )
            + '\n'
        )
        for name, value in row.items():
            self.board.add_scalar(f'{stage}/{name}', value, self.logged)

    def close(self) -> None:
        """Write what is pending."""
        try:
            self.set(force=True)
        finally:
            self._metrics.close()
            self.board.close()


def _drop_torn_line(path: Path) -> None:
    """A process that was killed in the middle of a line left no row there."""
    with path.open('rb+') as file:
        whole = file.read().rfind(b'\n') + 1
        file.truncate(whole)
