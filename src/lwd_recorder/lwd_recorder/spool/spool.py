"""The robot's spool: episodes between the recorder and the store.

    open -> closed -> uploading -> committed -> deleted
      \\________\\__________\\______> quarantined

Layout: `episodes/<episode_id>/` (bag and manifest), `quarantine/<episode_id>/` (with reason.txt), `journal.sqlite`.
The journal changes first and folders follow, so that `recover` can finish what a crash interrupted. Nothing is deleted
but the local copy of an episode that the store has verified.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lwd_recorder.durable import fsync_folder, sha256_of, write_atomically
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest, ManifestError, is_identifier
from lwd_recorder.spool.journal import Entry, Journal, SpoolError, State

REASON_NAME = 'reason.txt'


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
        self._journal = Journal(self.root / 'journal.sqlite')

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def folder(self, episode_id: str) -> Path:
        """Return the folder of an episode that is not quarantined."""
        return self._episodes / episode_id

    def quarantine_folder(self, episode_id: str) -> Path:
        """Return the folder of a quarantined episode."""
        return self._quarantine / episode_id

    def open_episode(self, episode_id: str) -> Path:
        """Enter a new episode and make its empty folder.

        Raises:
            SpoolError: the id is malformed or known already.
            OSError: the folder cannot be made.
        """
        if not is_identifier(episode_id):
            raise SpoolError(f'episode id {episode_id[:200]!r} cannot name a folder')
        folder = self.folder(episode_id)
        if folder.exists() and self._journal.find(episode_id) is None:
            raise SpoolError(f'{folder} exists, but the journal does not know it; move it away')
        self._journal.add(episode_id)
        folder.mkdir()
        fsync_folder(self._episodes)
        return folder

    def close_episode(self, episode_id: str) -> None:
        """Mark an episode as whole: its manifest is on the disk and the uploader may have it."""
        self._journal.change(episode_id, State.CLOSED)

    def begin_upload(self, episode_id: str) -> None:
        """Mark an episode as under way to the store; allowed again after an interruption."""
        self._journal.change(episode_id, State.UPLOADING)

    def note_failure(self, episode_id: str, reason: str) -> None:
        """Keep why an upload failed; the episode stays in the queue."""
        self._journal.note(episode_id, reason)

    def commit(self, episode_id: str) -> None:
        """Mark an episode as verified in the store."""
        self._journal.change(episode_id, State.COMMITTED)

    def delete_local(self, episode_id: str) -> None:
        """Remove the local copy of a committed episode.

        Raises:
            SpoolError: it is not committed.
        """
        entry = self._journal.find(episode_id)
        if entry is None or entry.state is not State.COMMITTED:
            state = 'unknown' if entry is None else entry.state
            raise SpoolError(f'episode {episode_id} is {state}; only a committed one is deleted')
        if self.folder(episode_id).exists():
            shutil.rmtree(self.folder(episode_id))
        self._journal.change(episode_id, State.DELETED)

    def quarantine(self, episode_id: str, reason: str) -> None:
        """Set an episode aside with the reason; its bytes stay."""
        self._journal.change(episode_id, State.QUARANTINED, reason)
        self._move_to_quarantine(episode_id, reason)

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

    def recover(self) -> list[Entry]:
        """Bring folders and journal in line after a crash; the recorder calls it once at its start.

        An episode left open is closed if its manifest and every file that it lists are whole (the crash fell
        between the manifest and the journal); otherwise it is quarantined: part of an episode is never
        delivered as the whole.

        Returns:
            The episodes whose state changed, as they are now.
        """
        changed = []
        for entry in self._journal.entries(State.QUARANTINED):
            if self.folder(entry.episode_id).exists():
                self._move_to_quarantine(entry.episode_id, entry.reason)
        for entry in self._journal.entries(State.OPEN):
            damage = self._damage(entry.episode_id)
            if damage is None:
                self.close_episode(entry.episode_id)
            else:
                self.quarantine(
                    entry.episode_id, f'left open by a recorder that was killed: {damage}'
                )
            changed.append(entry.episode_id)
        return [entry for entry in self._journal.entries() if entry.episode_id in changed]

    def _damage(self, episode_id: str) -> str | None:
        """Return what is missing from an episode's folder, or None when it is whole."""
        folder = self.folder(episode_id)
        if not (folder / MANIFEST_NAME).is_file():
            return 'no manifest'
        try:
            manifest = EpisodeManifest.load(folder)
            for file in manifest.files:
                if sha256_of(folder / file.name) != file.sha256:
                    return f'{file.name} does not have the sha256 of the manifest'
        except ManifestError as error:
            return str(error)
        except OSError as error:
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
