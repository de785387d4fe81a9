"""A strip of an episode: its pictures in time, and under them who acted, the reward, and the values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lwd_learner.look.values import Values
from lwd_learner.replay import Replay, ReplayError
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.layout import SOURCE_ESTOP, SOURCE_HOLD, SOURCE_HUMAN, SOURCE_POLICY
from lwd_learner.replay.segments import GAP_PERIODS, SUCCESS, ending_of

COLOURS = {
    SOURCE_POLICY: ('policy', '#2a78d6'),
    SOURCE_HUMAN: ('human', '#e07b00'),
    SOURCE_HOLD: ('hold', '#9a9a9a'),
    SOURCE_ESTOP: ('e-stop', '#c22f2f'),
}
FORMATS = ('.png', '.jpg', '.jpeg')
PICTURE_IN = 1.1  # width of one picture in the strip, inches
DPI = 110


def write_strip(
    replay: Replay,
    dataset: str,
    episode: EpisodeFacts,
    out: Path,
    frames: int = 12,
    values: Values | None = None,
) -> None:
    """Write the strip of one episode as PNG or JPEG, by the suffix of `out`.

    Raises:
        ReplayError: another suffix, or no row of the episode has pictures of all cameras.
    """
    if out.suffix.lower() not in FORMATS:
        raise ReplayError(f'{out}: a strip is written as {", ".join(FORMATS)}; name it so')
    shown = _shown_rows(replay, dataset, episode, frames)
    cameras = replay.layout.cameras
    pictures = [
        [simplejpeg.decode_jpeg(jpeg) for jpeg in of_row]
        for of_row in replay.jpegs(replay.global_rows(dataset, shown + episode.start))
    ]
    heights = [PICTURE_IN * p.shape[0] / p.shape[1] for p in pictures[0]]
    below = [0.22, 0.4] + ([1.3] if values is not None else [])
    width = PICTURE_IN * len(shown) + 1.2
    figure = Figure(figsize=(width, sum(heights) + sum(below) + 1.5), dpi=DPI)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(cameras) + len(below),
        len(shown),
        height_ratios=[*heights, *below],
        left=0.9 / width,
        right=1 - 0.15 / width,
        top=1 - 0.62 / figure.get_figheight(),
        bottom=0.48 / figure.get_figheight(),
        hspace=0.12,
        wspace=0.04,
    )
    stamp_s = replay.index(dataset).stamp_s.data[episode.start : episode.stop]
    since = stamp_s - stamp_s[0]
    for number, camera in enumerate(cameras):
        for column, of_row in enumerate(pictures):
            axes = figure.add_subplot(grid[number, column])
            axes.imshow(of_row[number], interpolation='nearest')
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(camera, fontsize=8)
            if number == 0:
                axes.set_title(f'{since[shown[column]]:.1f} s', fontsize=7, pad=2)
    span = (0.0, float(since[-1]) + replay.layout.period_s)
    rows = [figure.add_subplot(grid[len(cameras) + i, :]) for i in range(len(below))]
    _sources(rows[0], replay, dataset, episode, since)
    _reward(rows[1], replay, episode, since)
    if values is not None:
        _values(rows[2], values, since)
    for axes in rows:
        axes.set_xlim(span)
        for row in shown.tolist():
            axes.axvline(since[row], color='#000000', alpha=0.12, linewidth=0.6)
        if axes is not rows[-1]:
            axes.set_xticks([])
        axes.tick_params(labelsize=7)
    rows[-1].set_xlabel('s since the first row', fontsize=8)
    figure.suptitle(
        f'{episode.episode_id}   {episode.task}, {episode.kind}: {episode.outcome}\n"{episode.instruction}"',
        fontsize=8,
        y=1 - 0.1 / figure.get_figheight(),
        va='top',
    )
    _save(figure, out)


def _shown_rows(
    replay: Replay, dataset: str, episode: EpisodeFacts, frames: int
) -> npt.NDArray[np.int64]:
    """Rows of new pictures, spread evenly in time from the first to the last, counted from the episode's first."""
    index = replay.index(dataset)
    fresh = np.flatnonzero(index.new_image.data[episode.start : episode.stop])
    if len(fresh) == 0:
        raise ReplayError(
            f'{episode.episode_id}: no row has pictures of all cameras; look at it with lint'
        )
    at = np.linspace(0, len(fresh) - 1, max(1, min(frames, len(fresh)))).round().astype(np.intp)
    chosen: npt.NDArray[np.int64] = fresh[at].astype(np.int64)
    return chosen


def _sources(
    axes: Any,
    replay: Replay,
    dataset: str,
    episode: EpisodeFacts,
    since: npt.NDArray[np.float64],
) -> None:
    """A bar of who acted; gaps stay white."""
    source = replay.index(dataset).source.data[episode.start : episode.stop]
    period_s = replay.layout.period_s
    for value, (name, colour) in COLOURS.items():
        mine = np.flatnonzero(source == value)
        if len(mine):
            axes.broken_barh(
                [(float(since[row]), period_s * 1.02) for row in mine.tolist()],
                (0, 1),
                color=colour,
                linewidth=0,
                label=name,
            )
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel('source', fontsize=8, rotation=0, ha='right', va='center')
    axes.figure.legend(
        *axes.get_legend_handles_labels(), loc='upper right', ncols=4, fontsize=7, frameon=False
    )
    for row in np.flatnonzero(np.diff(since) > GAP_PERIODS * period_s).tolist():
        axes.text(
            (since[row] + since[row + 1]) / 2, 0.5, 'gap', fontsize=6, ha='center', va='center'
        )


def _reward(
    axes: Any, replay: Replay, episode: EpisodeFacts, since: npt.NDArray[np.float64]
) -> None:
    """Reward per tick: 1 at the last tick of a success, else 0."""
    reward = np.zeros(len(since))
    reward[-1] = ending_of(episode.kind, episode.outcome) == SUCCESS
    axes.step(since, reward, where='post', color='#1a7f37', linewidth=1.2)
    axes.plot(since[-1], reward[-1], 'o', color='#1a7f37', markersize=4, clip_on=False)
    axes.set_ylim(-0.15, 1.15)
    axes.set_yticks([0, 1])
    axes.set_ylabel('reward', fontsize=8, rotation=0, ha='right', va='center')


def _values(axes: Any, values: Values, since: npt.NDArray[np.float64]) -> None:
    at = since[values.rows]
    axes.plot(at, values.v, color='#6f42c1', linewidth=1.3, label='V')
    axes.plot(
        at,
        values.q,
        color='#d6336c',
        linewidth=1.0,
        linestyle='--',
        label='Q of the executed chunk',
    )
    axes.set_ylabel('value', fontsize=8, rotation=0, ha='right', va='center')
    axes.grid(axis='y', alpha=0.3, linewidth=0.5)
    axes.legend(loc='best', fontsize=7, frameon=False)


def _save(figure: Figure, out: Path) -> None:
    """Whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png' if out.suffix.lower() == '.png' else 'jpeg')
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f'.{out.name}.partial')
    partial.write_bytes(buffer.getvalue())
    partial.replace(out)
