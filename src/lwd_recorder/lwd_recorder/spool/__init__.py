"""The robot-side spool: a durable queue of episodes between recorder and store."""

from lwd_recorder.spool.journal import Entry, SpoolError, State
from lwd_recorder.spool.owner import Owner
from lwd_recorder.spool.recorder_lock import RecorderLock
from lwd_recorder.spool.relabel import relabel
from lwd_recorder.spool.room import Room, RoomConfig, make_room
from lwd_recorder.spool.spool import Salvage, Spool, UnrecoverableError

__all__ = [
    'Entry',
    'Owner',
    'RecorderLock',
    'Room',
    'RoomConfig',
    'Salvage',
    'Spool',
    'SpoolError',
    'State',
    'UnrecoverableError',
    'make_room',
    'relabel',
]
