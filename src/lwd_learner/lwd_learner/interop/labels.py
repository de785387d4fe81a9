"""A label file: verdicts (and tasks, sentences) by episode, as CSV with a head line."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from lwd_learner.interop.errors import InteropError
from lwd_learner.replay.frames import OUTCOMES

COLUMNS = ('episode', 'outcome', 'task', 'instruction')


@dataclass(frozen=True, slots=True)
class Label:
    """One line; empty fields leave what the mapping says."""

    outcome: str = ''
    task: str = ''
    instruction: str = ''


def read_labels(path: Path) -> dict[str, Label]:
    """Lines by episode: a bag's folder name, or the number of a LeRobot episode.

    Raises:
        InteropError: unreadable, without an `episode` column, or with an unknown outcome; the message names the line.
    """
    labels: dict[str, Label] = {}
    try:
        with path.open(newline='') as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            if 'episode' not in names or set(names) - set(COLUMNS):
                raise InteropError(
                    f'{path} has the columns {", ".join(names)}; expected episode and any of {", ".join(COLUMNS[1:])}'
                )
            for row in reader:
                values = {name: (row.get(name) or '').strip() for name in COLUMNS}
                if values['outcome'] not in ('', *OUTCOMES):
                    raise InteropError(
                        f'{path}, line {reader.line_num}: outcome {values["outcome"]!r} is not one of '
                        f'{", ".join(OUTCOMES)}'
                    )
                labels[values['episode']] = Label(
                    values['outcome'], values['task'], values['instruction']
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InteropError(f'{path} cannot be read: {error}') from error
    return labels
