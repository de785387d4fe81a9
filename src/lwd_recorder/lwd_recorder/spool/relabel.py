"""Puts a person's verdict in the place of the recorded one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lwd_recorder.manifest import EpisodeManifest


def relabel(folder: Path, outcome: str, note: str) -> tuple[EpisodeManifest, EpisodeManifest]:
    """Change the outcome in an episode's manifest, durably; what it was stands in its notes.

    Args:
        folder: holds the manifest.
        outcome: one of OUTCOMES.
        note: who, when and why.

    Returns:
        The manifest as it was, and as it is.

    Raises:
        ManifestError: there is no valid manifest, or no such outcome.
        OSError: the disk refuses.
    """
    before = EpisodeManifest.load(folder)
    said = f'outcome {before.outcome} -> {outcome} {note}'
    after = replace(before, outcome=outcome, notes=(*before.notes, said))
    after.save(folder)
    return before, after
