"""The robot's spool: episodes between the recorder and the store.

    open -> closed -> uploading -> committed -> deleted
      \\________\\__________\\______> quarantined

Layout: `episodes/<episode_id>/` (bag and manifest), `quarantine/<episode_id>/` (with reason.txt),
`quarantine/_originals/<episode_id>/` (files as they were before their repair), `owners/`, `journal.sqlite`, `reserve`,
`recorder.lock`. The journal changes first and folders follow, so that `recover` can finish what a crash interrupted.
Nothing is deleted but the local copy of an episode that the store has verified.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from lwd_recorder.bag.errors import BagError
from lwd_recorder.durable import fsync_folder, sha256_of, write_atomically
from lwd_recorder.manifest import (
    MANIFEST_NAME,
    EpisodeManifest,
    ManifestError,
    ManifestUnreadableError,
    is_identifier,
)
from lwd_recorder.spool.journal import Entry, Journal, SpoolError, State
from lwd_recorder.spool.owner import Owner, is_alive
from lwd_recorder.spool.relabel import relabel
from lwd_recorder.store.base import UploadLog

REASON_NAME = 'reason.txt'
JOURNAL_NAME = 'journal.sqlite'
_ORIGINALS = '_originals'  # no episode id begins like this

Salvage = Callable[[Path, Path, str], object]
"""Makes a whole episode, with its manifest, out of what is in a folder; called with the folder, the folder for
originals and the robot profile's name. Raises UnrecoverableError where nothing can be made of it, OSError to be called
again later."""


class UnrecoverableError(Exception):
    """What a killed recorder left cannot become an episode; the message says why."""


class Spool:
    """One spool folder. Recorder and uploader each open it; use one object a thread."""

    def __init__(self, root: Path | str) -> None:
        """Open or make a spool.

        Raises:
            SpoolError: its journal cannot be opened.
            OSError: its folders cannot be made.
        """
        self.root = Path(root).expanduser().resolve()
        self._episodes = self.root / 'episodes'
        self._quarantine = self.root / 'quarantine'
        self._episodes.mkdir(parents=True, exist_ok=True)
        self._quarantine.mkdir(exist_ok=True)
        self.owners = self.root / 'owners'
        """Folder of `Owner`s."""
        self._journal = Journal(self.root / JOURNAL_NAME)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def folder(self, episode_id: str) -> Path:
        """Return the folder of an episode that is not quarantined."""
        return self._episodes / episode_id

    def quarantine_folder(self, episode_id: str) -> Path:
        """Return the folder of a quarantined episode."""
        return self._quarantine / episode_id

    def open_episode(self, episode_id: str, profile: str = '') -> Path:
        """Enter a new episode and make its empty folder.

        Args:
            episode_id: unique for ever.
            profile: robot profile's name: recovery writes it into the manifest of an episode that was never closed.

        Raises:
            SpoolError: the id is malformed or known already.
            OSError: the folder cannot be made.
        """
        if not is_identifier(episode_id):
            raise SpoolError(f'episode id {episode_id[:200]!r} cannot name a folder')
        folder = self.folder(episode_id)
        if folder.exists() and self._journal.find(episode_id) is None:
            raise SpoolError(f'{folder} exists, but the journal does not know it; move it away')
        self._journal.add(episode_id, profile)
        folder.mkdir()
        fsync_folder(self._episodes)
        return folder

    def close_episode(self, episode_id: str) -> None:
        """Mark an episode as whole: its manifest is on the disk and the uploader may have it.

        Roll-outs that failed, or in which a human took over, are urgent: the learner gains most from them.
        """
        self._journal.change(episode_id, State.CLOSED, urgent=self._is_urgent(episode_id))

    def claim(self, episode_id: str, owner: Owner) -> Entry | None:
        """Take an episode for one owner; None when another living one has it."""
        return self._journal.claim(episode_id, owner.name, partial(is_alive, self.owners))

    def release(self, episode_id: str, owner: Owner) -> None:
        """Give a claimed episode back."""
        self._journal.release(episode_id, owner.name)

    @property
    def uploads(self) -> UploadLog:
        """Uploads under way, remembered across restarts."""
        return self._journal

    def begin_upload(self, episode_id: str) -> None:
        """Mark an episode as under way to the store; allowed again after an interruption."""
        self._journal.change(episode_id, State.UPLOADING)

    def note_failure(self, episode_id: str, reason: str) -> None:
        """Keep why an upload failed; the episode stays in the queue."""
        self._journal.note(episode_id, reason)

    def commit(self, episode_id: str) -> None:
        """Mark an episode as verified in the store."""
        self._journal.change(episode_id, State.COMMITTED)

    def delete_local(self, episode_id: str) -> bool:
        """Remove the local copy of a committed episode; False when another process has done it just now.

        Raises:
            SpoolError: it is not committed.
            OSError: the disk refuses; the episode stays committed.
        """
        entry = self._journal.find(episode_id)
        if entry is not None and entry.state is State.DELETED:
            return False
        if entry is None or entry.state is not State.COMMITTED:
            state = 'unknown' if entry is None else entry.state
            raise SpoolError(f'episode {episode_id} is {state}; only a committed one is deleted')
        with suppress(FileNotFoundError):  # another process removes it, too
            shutil.rmtree(self.folder(episode_id))
        fsync_folder(self._episodes)
        try:
            self._journal.change(episode_id, State.DELETED)
        except SpoolError:
            entry = self._journal.find(episode_id)
            if entry is None or entry.state is not State.DELETED:
                raise
            return False
        return True

    def quarantine(self, episode_id: str, reason: str) -> None:
        """Set an episode aside with the reason; its bytes stay."""
        self._journal.change(episode_id, State.QUARANTINED, reason)
        self._move_to_quarantine(episode_id, reason)

    def relabel(
        self, episode_id: str, outcome: str, note: str, owner: Owner
    ) -> tuple[EpisodeManifest, EpisodeManifest]:
        """Change the outcome of an episode that is not in the store yet.

        Args:
            episode_id: closed, waiting for its next try, or quarantined.
            outcome: one of OUTCOMES.
            note: who, when and why.
            owner: holds the episode meanwhile, so that no uploader sends the old manifest.

        Returns:
            The manifest as it was, and as it is.

        Raises:
            SpoolError: it is still recorded, being uploaded, delivered, or not known.
            ManifestError: it has no valid manifest.
            OSError: the disk refuses.
        """
        entry = self.claim(episode_id, owner)
        if entry is None:
            raise SpoolError(f'episode {episode_id} is being uploaded right now')
        try:
            if entry.state is State.QUARANTINED:
                return relabel(self.quarantine_folder(episode_id), outcome, note)
            if entry.state not in (State.CLOSED, State.UPLOADING):
                raise SpoolError(
                    f'episode {episode_id} is {entry.state}; its outcome is not changed'
                )
            manifests = relabel(self.folder(episode_id), outcome, note)
            self._journal.set_urgent(episode_id, self._is_urgent(episode_id))
            return manifests
        finally:
            self.release(episode_id, owner)

    def find(self, episode_id: str) -> Entry | None:
        """Return what the journal knows of an episode, or None."""
        return self._journal.find(episode_id)

    def entries(self, *states: State) -> list[Entry]:
        """Return episodes in these states (all when none is named), oldest first."""
        return self._journal.entries(*states)

    def backlog(self) -> int:
        """Return how many closed episodes are not in the store yet."""
        return self._journal.count(State.CLOSED, State.UPLOADING)

    def free_bytes(self) -> int:
        """Return the bytes free on the spool's file system."""
        return shutil.disk_usage(self.root).free

    def recover(self, salvage: Salvage | None = None) -> list[Entry]:
        """Bring folders and journal in line after a crash; the recorder calls it once at its start.

        An episode left open is closed if its manifest and every file that it lists are whole (the crash fell
        between the manifest and the journal). Otherwise `salvage` repairs it; where it cannot, or there is none, the
        episode is quarantined with the reason. Where the disk refuses, it stays open, to be tried again.

        Returns:
            The episodes that were found open, as they are now.

        Raises:
            SpoolError: the journal refuses.
            OSError: the disk does not let a quarantined episode's folder be moved.
        """
        found = self.left_open()
        for episode_id in found:
            self.recover_episode(episode_id, salvage)
        for entry in self._journal.entries(State.QUARANTINED):
            if self.folder(entry.episode_id).exists():
                self._move_to_quarantine(entry.episode_id, entry.reason)
        return [entry for entry in self._journal.entries() if entry.episode_id in found]

    def left_open(self) -> list[str]:
        """Return the open episodes that no living repair has; those of a recorder at work are among them."""
        return [
            entry.episode_id
            for entry in self._journal.entries(State.OPEN)
            if not (entry.claimed_by and is_alive(self.owners, entry.claimed_by))
        ]

    def recover_episode(
        self,
        episode_id: str,
        salvage: Salvage | None = None,
        why: str = 'left open by a recorder that was killed',
    ) -> None:
        """Close, repair or quarantine one open episode that nobody writes any more; see `recover`.

        Raises:
            SpoolError: it is not open, or the journal refuses.
        """
        entry = self._journal.find(episode_id)
        if entry is None or entry.state is not State.OPEN:
            raise SpoolError(f'episode {episode_id} is not open; there is nothing to recover')
        try:
            damage = self._damage(episode_id)
            if damage is not None and salvage is not None:
                salvage(self.folder(episode_id), self.originals(episode_id), entry.profile)
                damage = self._damage(episode_id)
            if damage is None:
                self.close_episode(episode_id)
            else:
                self.quarantine(episode_id, f'{why}: {damage}')
        except (OSError, ManifestUnreadableError) as error:
            with suppress(
                SpoolError
            ):  # the same disk, most likely: it is tried again all the same
                self.note_failure(episode_id, f'{why}, and not repaired yet: {error}')
        except (UnrecoverableError, ManifestError, BagError) as error:
            self.quarantine(episode_id, f'{why}: {error}')

    def take_back(self, episode_id: str) -> None:
        """Put a quarantined episode back among the open ones, to be repaired by `recover_episode`.

        Claim it first: a recorder that starts meanwhile repairs the open ones that nobody has.

        Raises:
            SpoolError: it is not quarantined.
            OSError: the disk refuses.
        """
        self._journal.change(episode_id, State.OPEN)
        source = self.quarantine_folder(episode_id)
        if source.exists():
            source.rename(self.folder(episode_id))
        (self.folder(episode_id) / REASON_NAME).unlink(missing_ok=True)
        fsync_folder(self._quarantine)
        fsync_folder(self._episodes)

    def originals(self, episode_id: str) -> Path:
        """Return the folder for files of an episode as they were before their repair."""
        return self._quarantine / _ORIGINALS / episode_id

    def _is_urgent(self, episode_id: str) -> bool:
        try:
            manifest = EpisodeManifest.load(self.folder(episode_id))
        except ManifestError:  # the uploader will find out and say so
            return False
        worth = manifest.outcome == 'failure' or manifest.takeovers > 0
        return manifest.kind == 'rollout' and worth

    def _damage(self, episode_id: str) -> str | None:
        """Return what is missing from an episode's folder, or None when it is whole.

        Raises:
            OSError, ManifestUnreadableError: the system does not say at the moment.
        """
        folder = self.folder(episode_id)
        if not (folder / MANIFEST_NAME).is_file():
            return 'no manifest'
        try:
            manifest = EpisodeManifest.load(folder)
            for file in manifest.files:
                if sha256_of(folder / file.name) != file.sha256:
                    return f'{file.name} does not have the sha256 of the manifest'
        except ManifestUnreadableError:
            raise
        except ManifestError as error:
            return str(error)
        except FileNotFoundError as error:
            return f'{error.filename}: {error.strerror}'
        return None

    def _move_to_quarantine(self, episode_id: str, reason: str) -> None:
        source, target = self.folder(episode_id), self.quarantine_folder(episode_id)
        if source.exists():
            source.rename(target)
        target.mkdir(exist_ok=True)
        write_atomically(target / REASON_NAME, f'{reason}\n'.encode())
        fsync_folder(self._episodes)
        fsync_folder(self._quarantine)
