"""Lint of an episode's numbers: clock, gaps, rates, frozen joints, limits, labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lwd_learner.look.findings import Finding, Level, rows_place
from lwd_learner.replay.index import EpisodeFacts, FrameIndex
from lwd_learner.replay.layout import ReplayLayout
from lwd_learner.replay.segments import GAP_PERIODS
from lwd_learner.replay.stats import episode_rates

TICKS_AROUND = 5  # ticks on either side of a silence by which it is told whether the robot moved
STILL = 1e-3  # a tick that changes no position by more than this is a robot at rest, rad


class Limits(Protocol):
    """The facts taken from `lwd_policy_node.profile.Joint`."""

    @property
    def lower(self) -> float: ...  # noqa: D102
    @property
    def upper(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RowThresholds:
    """What counts as wrong in an episode's numbers."""

    clock_step_s: float = 2.0
    """A step of the stamps of so much, across which a moving robot has not moved, is a step of the clock, s."""
    missing_share: float = 0.2
    """Share of an episode's time lost in gaps that is an error rather than a warning."""
    rate_tolerance: float = 0.2
    """A control or camera rate may differ by this share: from the layout's, or from the camera's median episode."""
    frozen_joints_s: float = 0.5
    """All joints reported exactly the same for so long while the command moves, s."""
    commanded: float = 0.05
    """A command that changes by more than this in that time moves, rad or gripper fraction."""
    limit_tolerance: float = 1e-3
    """How far an action may lie outside a joint's limits, rad or gripper fraction."""
    shortest_s: float = 0.5
    """A shorter episode is doubted, s."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode's columns, as the checks want them."""

    dataset: str
    facts: EpisodeFacts
    stamp_s: npt.NDArray[np.float64]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]
    label: npt.NDArray[np.float32]
    rates: list[float]
    starts: int
    layout: ReplayLayout

    @classmethod
    def of(
        cls, dataset: str, index: FrameIndex, facts: EpisodeFacts, layout: ReplayLayout
    ) -> Episode:
        """The episode's part of an index."""
        rows = slice(facts.start, facts.stop)
        row = np.arange(facts.start, facts.stop)
        low = index.low.take_all(dict.fromkeys(('state', 'action', 'label'), row))
        return cls(
            dataset=dataset,
            facts=facts,
            stamp_s=index.stamp_s.data[rows],
            state=low['state'],
            action=low['action'],
            label=low['label'][:, : len(facts.label_names)],
            rates=episode_rates(index, facts, layout),
            starts=int((index.new_image.data[rows] & (index.limit.data[rows] > row)).sum()),
            layout=layout,
        )

    @property
    def positions(self) -> npt.NDArray[np.float32]:
        """Measured positions, without the velocities."""
        columns = [
            i
            for i, name in enumerate(self.layout.state_columns)
            if not name.startswith('velocity/')
        ]
        return self.state[:, columns]

    def finding(self, level: Level, check: str, place: str, value: str, remedy: str) -> Finding:
        """A finding of this episode."""
        return Finding(level, check, self.dataset, self.facts.episode_id, place, value, remedy)

    def place(self, first: int, last: int, what: str = '') -> str:
        """Rows first..last of this episode in words."""
        since = self.stamp_s - self.stamp_s[0]
        return rows_place(first, last, (float(since[first]), float(since[last])), what)


def check_rows(
    episode: Episode, thresholds: RowThresholds, limits: dict[str, Limits] | None
) -> Iterator[Finding]:
    """Everything that the low-dimensional columns of one episode tell; `limits` by joint, None where unknown."""
    yield from _not_finite(episode)
    yield from _clock(episode, thresholds)
    yield from _labels(episode)
    yield from _frozen_joints(episode, thresholds)
    if limits is not None:
        yield from _outside_limits(episode, thresholds, limits)
    seconds = len(episode.stamp_s) * episode.layout.period_s
    if seconds < thresholds.shortest_s or episode.starts == 0:
        yield episode.finding(
            'warning',
            'short_episode',
            'whole episode',
            f'{seconds:.2f} s, {episode.starts} transition starts',
            'prune it if it is an accident; nothing can be learnt from an episode without starts',
        )


def check_rates(
    episode: Episode, medians: dict[str, float], thresholds: RowThresholds
) -> Iterator[Finding]:
    """Rates that differ: control from the layout's, a camera's from its median over the data set's episodes."""
    expected = {'control': episode.layout.control_rate_hz, **medians}
    names = ('control', *episode.layout.cameras)
    for name, rate in zip(names, episode.rates, strict=True):
        wanted = expected[name]
        if abs(rate - wanted) > thresholds.rate_tolerance * wanted:
            against = 'the profile says' if name == 'control' else 'the median episode has'
            yield episode.finding(
                'error' if name == 'control' else 'warning',
                'unequal_rate',
                name if name == 'control' else f'camera {name}',
                f'{rate:.2f} Hz, {against} {wanted:.2f} Hz',
                'check the rate of the driver and the load of the robot; keep such episodes out of one batch',
            )


def _not_finite(episode: Episode) -> Iterator[Finding]:
    columns: dict[str, npt.NDArray[np.floating]] = {
        'stamp_s': episode.stamp_s[:, None],
        'state': episode.state,
        'action': episode.action,
    }
    names = {
        'stamp_s': ('stamp_s',),
        'state': episode.layout.state_columns,
        'action': episode.layout.joint_names,
    }
    for what, values in columns.items():
        bad = ~np.isfinite(values)
        if bad.any():
            rows = np.flatnonzero(bad.any(axis=1))
            column = names[what][int(np.flatnonzero(bad.any(axis=0))[0])]
            yield episode.finding(
                'error',
                'not_finite',
                episode.place(int(rows[0]), int(rows[-1]), f'{what} {column}'),
                f'{int(bad.sum())} values that are not finite',
                'prune the episode; ingest refuses such values, so find what else wrote it',
            )


def _clock(episode: Episode, thresholds: RowThresholds) -> Iterator[Finding]:
    period_s = episode.layout.period_s
    steps = np.diff(episode.stamp_s)
    for row in np.flatnonzero(steps < 0.5 * period_s)[:1].tolist():
        again = steps[row] > -0.5 * period_s
        yield episode.finding(
            'error',
            'duplicate_frames' if again else 'clock_step',
            episode.place(row, row + 1),
            f'a step of {steps[row]:.4f} s between two rows, the period is {period_s:.4f} s',
            'prune the episode and look at the clock and the publishers of the robot: two writers, or time set back',
        )
    gaps = np.flatnonzero(steps > GAP_PERIODS * period_s)
    jumps = [row for row in gaps.tolist() if _clock_jumped(episode, row, thresholds)]
    for row in jumps:
        yield episode.finding(
            'error',
            'clock_step',
            episode.place(row, row + 1),
            f'the stamps step by {steps[row]:.2f} s while the robot, in motion, has not moved',
            "synchronise the robot's clock before it records (chrony), not during an episode",
        )
    silent = np.array([row for row in gaps.tolist() if row not in jumps], np.int64)
    if len(silent):
        missing_s = float((steps[silent] - period_s).sum())
        share = missing_s / max(float(episode.stamp_s[-1] - episode.stamp_s[0]), period_s)
        worst = int(silent[steps[silent].argmax()])
        yield episode.finding(
            'error' if share > thresholds.missing_share else 'warning',
            'gap',
            episode.place(worst, worst + 1, 'the longest'),
            f'{len(silent)} gaps, longest {steps[worst]:.2f} s, {missing_s:.2f} s missing ({share:.0%})',
            'chunks are cut there; look for drops in the manifest of the bag, at load and disk of the robot',
        )


def _clock_jumped(episode: Episode, row: int, thresholds: RowThresholds) -> bool:
    """Whether a long step of the stamps is the clock's: the robot moved before and after it, but not across it."""
    if episode.stamp_s[row + 1] - episode.stamp_s[row] < thresholds.clock_step_s:
        return False
    moves = np.abs(np.diff(episode.positions, axis=0)).max(axis=1)
    around = np.concatenate(
        [moves[max(0, row - TICKS_AROUND) : row], moves[row + 1 : row + 1 + TICKS_AROUND]]
    )
    ordinary = np.delete(moves, row)
    moving = len(around) > 0 and bool(around.mean() > STILL)
    return moving and bool(moves[row] <= ordinary.max(initial=0.0))


def _labels(episode: Episode) -> Iterator[Finding]:
    facts = episode.facts
    if facts.outcome == 'unknown':
        yield episode.finding(
            'warning',
            'label_missing',
            'outcome',
            'unknown: the episode gives no reward and no terminal state',
            'judge it: ros2 run lwd_learner replay show, then relabel',
        )
    for name in ('task', 'instruction'):
        if not getattr(facts, name).strip():
            yield episode.finding(
                'error',
                'label_missing',
                name,
                'empty: the policy is conditioned on it',
                f'give the {name} when the episode starts (episode/start), and relabel or prune this one',
            )
    unknown = np.isnan(episode.label).any(axis=1) if episode.label.size else np.zeros(0, np.bool_)
    if unknown.any():
        rows = np.flatnonzero(unknown)
        yield episode.finding(
            'warning',
            'label_missing',
            episode.place(int(rows[0]), int(rows[-1]), 'label'),
            f'{len(rows)} rows without the simulator labels that the episode has elsewhere',
            'the auxiliary loss leaves them out; nothing need be done if there are few',
        )


def _frozen_joints(episode: Episode, thresholds: RowThresholds) -> Iterator[Finding]:
    same = (np.diff(episode.positions, axis=0) == 0).all(axis=1)
    for first, last in runs(same):
        seconds = float(episode.stamp_s[last] - episode.stamp_s[first])
        moved = float(np.ptp(episode.action[first : last + 1], axis=0).max())
        if seconds >= thresholds.frozen_joints_s and moved > thresholds.commanded:
            yield episode.finding(
                'error',
                'frozen_joints',
                episode.place(first, last),
                f'joint_states repeats itself for {seconds:.2f} s while the command moves by {moved:.2f}',
                'the driver publishes stale positions; restart it, and prune the episode',
            )


def _outside_limits(
    episode: Episode, thresholds: RowThresholds, limits: dict[str, Limits]
) -> Iterator[Finding]:
    for column, joint in enumerate(episode.layout.joint_names):
        values = episode.action[:, column]
        limit = limits[joint]
        beyond = np.maximum(values - limit.upper, limit.lower - values)
        bad = np.flatnonzero(beyond > thresholds.limit_tolerance)
        if len(bad):
            worst = int(beyond.argmax())
            yield episode.finding(
                'error',
                'outside_limits',
                episode.place(int(bad[0]), int(bad[-1]), f'action {joint}'),
                f'{values[worst]:.4f} outside [{limit.lower:g}, {limit.upper:g}], in {len(bad)} rows',
                'the units (degrees?) or the order of the joints are wrong, or the profile is of another robot',
            )


def runs(same: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last element of every stretch of equal neighbours; `same[i]` says that i and i + 1 are equal."""
    edges = np.diff(np.concatenate([[0], same.astype(np.int8), [0]]))
    return list(
        zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    )
