"""`bag repair`: an episode out of what can be verified of a damaged one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from lwd_recorder.command.answer import refuse, say
from lwd_recorder.command.places import PlaceError, SpoolEpisode, in_spool, undelivered
from lwd_recorder.command.progress import progress
from lwd_recorder.command.verify import bytes_in, find_damage
from lwd_recorder.manifest import EpisodeManifest, ManifestError
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.spool import (
    Entry,
    Owner,
    RecorderLock,
    Spool,
    SpoolError,
    State,
    UnrecoverableError,
)


@dataclass(frozen=True, slots=True)
class Repair:
    """Keep the longest verified prefix of each file of a damaged episode; originals are kept aside."""

    path: tyro.conf.Positional[Path]
    """The episode's folder: in a spool (quarantined, or left open), or by itself."""
    profile: str = 'g1_laptop'
    """Robot profile's name, for the manifest of one that has none and is in no spool."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Repair it; the exit code is 1 if nothing can be made of it."""
        try:
            folder = undelivered(self.path)
            place = in_spool(folder)
            if place is None:
                with progress('verify', bytes_in(folder), quiet=self.json) as advance:
                    damage = find_damage(folder, advance)
                if damage is None:
                    return self._say(folder, None)
                aside = folder.with_name(f'{folder.name}.originals')
                return self._say(folder, recover_bag(folder, aside, self.profile))
            return self._in_spool(place)
        except (SpoolError, ManifestError, PlaceError, UnrecoverableError, OSError) as error:
            return refuse(self.path, str(error), as_json=self.json)

    def _in_spool(self, place: SpoolEpisode) -> int:
        """Repair by way of the journal: the uploader takes it from there."""
        spool = Spool(place.root)
        owner = Owner(spool.owners)
        try:
            if spool.find(place.episode_id) is None:
                raise SpoolError(f'episode {place.episode_id} is not in the spool')
            entry = spool.claim(place.episode_id, owner)
            if entry is None:
                raise SpoolError(
                    f'episode {place.episode_id} is being worked on by an uploader, which sets it aside if it is '
                    'damaged, or by another repair; wait for it'
                )
            try:
                manifest = self._repair(spool, entry)
            finally:
                spool.release(place.episode_id, owner)
            return self._say(spool.folder(place.episode_id), manifest)
        finally:
            owner.close()
            spool.close()

    @staticmethod
    def _repair(spool: Spool, entry: Entry) -> EpisodeManifest | None:
        """Repair an episode that is claimed, so that uploader and recorder leave it alone; None = nothing is wrong."""
        episode_id = entry.episode_id
        if entry.state is State.OPEN:
            lock = RecorderLock(spool.root)  # a recorder at work may be writing it
            try:
                spool.recover_episode(episode_id, recover_bag)
            finally:
                lock.close()
        elif entry.state in (State.QUARANTINED, State.CLOSED, State.UPLOADING):
            if entry.state is not State.QUARANTINED:
                damage = find_damage(spool.folder(episode_id))
                if damage is None:
                    return None
                spool.quarantine(episode_id, damage)
            spool.take_back(episode_id)
            spool.recover_episode(episode_id, recover_bag, 'repaired by hand')
        else:
            raise SpoolError(f'episode {episode_id} is {entry.state}')
        after = spool.find(episode_id)
        if after is None or after.state is not State.CLOSED:
            reason = 'gone' if after is None else f'{after.state}: {after.reason}'
            raise SpoolError(f'episode {episode_id} is {reason}')
        return EpisodeManifest.load(spool.folder(episode_id))

    def _say(self, folder: Path, manifest: EpisodeManifest | None) -> int:
        """Say what was lost; None = nothing was wrong."""
        lost = None if manifest is None or manifest.lost is None else asdict(manifest.lost)
        document = {
            'path': str(folder),
            'repaired': manifest is not None,
            'lost': lost,
            'notes': [] if manifest is None else list(manifest.notes),
        }
        text = f'{folder}: nothing is wrong with it'
        if manifest is not None:
            messages = sum(topic.count for topic in manifest.topics.values())
            text = '\n'.join([f'{folder}: {messages} messages kept', *manifest.notes])
        return say(document, text, as_json=self.json)
