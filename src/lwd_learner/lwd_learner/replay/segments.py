"""Where a run of control steps may be followed to, and what stands at its end.

A chunk never straddles a takeover, a gap or an episode's end (algorithm.md, section 1). Each row t
therefore carries `limit`, the last row that the steps beginning at t may bootstrap from, and `ending`,
what happens there:

* takeover (the source changes between autonomous, human and e-stop, ticks contiguous): the observation
  at the first row of the other source is the result of the last step, so `limit` is that row and all
  steps before it are valid;
* gap in the ticks, or an episode whose end carries no verdict (aborted, unknown): the result of the
  segment's last action was not seen, so `limit` is the segment's last row, whose own action is no step;
* episode end with a verdict: `limit` is one past the last row, terminal. A time-out is a failure, and
  so is all play data.

Holding (nothing valid to execute) belongs to the autonomous steps around it: the command was really sent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.layout import SOURCE_ESTOP, SOURCE_HUMAN

GAP_PERIODS = 1.5
"""A step of more than this many control periods is a gap; ingest has already filled the short ones."""

CUT, FAILURE, SUCCESS = range(3)
"""Values of `ending`: bootstrap, terminal without reward, terminal with reward 1."""


def ending_of(kind: str, outcome: str) -> int:
    """What an episode's last row ends in; play is always a failure, aborted and unknown give no verdict."""
    if kind == 'play':
        return FAILURE
    return {'success': SUCCESS, 'failure': FAILURE}.get(outcome, CUT)


def segment_rows(
    stamp_s: npt.NDArray[np.float64],
    source: npt.NDArray[np.uint8],
    period_s: float,
    stops: npt.NDArray[np.int64],
    endings: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Limits and endings of the rows of E episodes, one after the other.

    Args:
        stamp_s: (T,) control ticks, s, increasing within an episode.
        source: (T,) SOURCE_*.
        period_s: control period, s.
        stops: (E,) one past each episode's last row.
        endings: (E,) CUT, FAILURE or SUCCESS at each episode's end (`ending_of`).

    Returns:
        limit (T,) row counted from the first given; ending (T,) of the segment that the row lies in.
    """
    group = np.where(source == SOURCE_HUMAN, 1, np.where(source == SOURCE_ESTOP, 2, 0))
    lost = np.append(np.diff(stamp_s) > GAP_PERIODS * period_s, False)
    cut = lost | np.append(np.diff(group) != 0, True)
    ending = np.full(len(stamp_s), CUT, np.uint8)
    ending[stops - 1] = endings
    cut[stops - 1] = True
    lost[stops - 1] = endings == CUT  # the last action's result was not seen
    last = np.flatnonzero(cut)  # last row of each segment
    limit = np.where(lost[last], last, last + 1)
    lengths = np.diff(last, prepend=-1)
    return np.repeat(limit, lengths).astype(np.int64), np.repeat(ending[last], lengths)
