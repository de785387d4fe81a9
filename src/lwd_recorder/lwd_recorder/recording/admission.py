"""Whether an episode may be recorded at all: its name, the spool, the room on the disk."""

from __future__ import annotations

from lwd_recorder.manifest import KINDS, is_identifier
from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.facts import EpisodeStart
from lwd_recorder.spool import RoomConfig, Spool, SpoolError, make_room


class Admission:
    """Asked at every start of an episode, and about the disk while one runs."""

    def __init__(self, spool: Spool, config: RecorderConfig) -> None:
        """Use the receiving thread's spool."""
        self._spool = spool
        self._config = config
        self._room = RoomConfig(config.warn_free_bytes, config.min_free_bytes)
        self.warning = ''
        """Why the disk is a worry at the last look; empty when it is none."""

    def reason_to_refuse(self, start: EpisodeStart) -> str:
        """Return why an episode cannot be recorded; empty when it can."""
        if not is_identifier(start.episode_id) or not is_identifier(start.robot_id):
            return f'episode_id or robot_id {start.robot_id!r} cannot name a folder'
        if start.kind not in KINDS:
            return f'kind is {start.kind!r}, not one of {", ".join(KINDS)}'
        try:
            known = self._spool.find(start.episode_id)
            full = self._reason_of_room()
        except (SpoolError, OSError) as error:
            return f'the spool does not answer: {error}'
        if known is not None:
            return f'it is in the spool already ({known.state}); part of it is never sent as whole'
        return full

    def must_stop(self) -> str:
        """Return why the episode under way has to be closed while it still can be; empty when it need not."""
        try:
            free_bytes = self._spool.free_bytes()
        except OSError:
            return ''  # the writer will meet the same error, and names it
        if free_bytes >= self._config.last_free_bytes:
            return ''
        return (
            f'disk full: {free_bytes >> 20} MiB free at {self._spool.root}, '
            f'below {self._config.last_free_bytes >> 20} MiB (last_free_bytes)'
        )

    def _reason_of_room(self) -> str:
        """Free what the store has verified where space is short; return why there is still too little."""
        self.warning = ''
        enough_bytes = max(self._config.warn_free_bytes, self._config.min_free_bytes)
        if self._spool.free_bytes() >= enough_bytes:
            return ''
        room = make_room(self._spool, self._room)
        if room.level == 'full':
            return room.text
        self.warning = room.text
        return ''
