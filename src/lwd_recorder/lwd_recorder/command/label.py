"""`bag label`: a person's verdict on an episode, in the place of the recorded one."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import tyro

from lwd_recorder.command.answer import refuse, say
from lwd_recorder.command.places import PlaceError, in_spool, undelivered
from lwd_recorder.manifest import EpisodeManifest, ManifestError
from lwd_recorder.spool import Owner, Spool, SpoolError, relabel

IN_STORE = 'ros2 run lwd_learner replay relabel'
"""What changes the verdict on an episode that is in the store already."""


@dataclass(frozen=True, slots=True)
class Label:
    """Change an episode's outcome before it is uploaded; who, when and what it was are kept in its notes."""

    path: tyro.conf.Positional[Path]
    """The episode's folder, in a robot's spool or by itself."""
    outcome: tyro.conf.Positional[Literal['success', 'failure', 'aborted', 'unknown']]
    """What it is to be. The bag's own Episode messages stay as they were recorded."""
    by: str = ''
    """Who says so; empty = the user who is logged in."""
    why: str = ''
    """The reason, in a few words."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Change the manifest durably; the exit code is 1 if it cannot be changed."""
        at = datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
        because = f': {self.why}' if self.why else ''
        note = f'by {self.by or getpass.getuser()} at {at}{because}'
        try:
            before, after = self._relabel(note)
        except (SpoolError, ManifestError, PlaceError, OSError) as error:
            return refuse(self.path, str(error), as_json=self.json)
        document = {
            'path': str(self.path),
            'episode_id': after.episode_id,
            'outcome': after.outcome,
            'was': before.outcome,
        }
        text = f'episode {after.episode_id}: {before.outcome} -> {after.outcome}, {note}'
        return say(document, text, as_json=self.json)

    def _relabel(self, note: str) -> tuple[EpisodeManifest, EpisodeManifest]:
        place = in_spool(self.path)
        if place is None:
            return relabel(undelivered(self.path), self.outcome, note)
        spool = Spool(place.root)
        owner = Owner(spool.owners)
        try:
            return spool.relabel(place.episode_id, self.outcome, note, owner)
        except SpoolError as error:
            raise SpoolError(
                f'{error}. One that is in the store is changed by {IN_STORE}'
            ) from error
        finally:
            owner.close()
            spool.close()
