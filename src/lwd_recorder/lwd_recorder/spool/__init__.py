"""The robot-side spool: a durable queue of episodes between recorder and store."""

from lwd_recorder.spool.journal import Entry, SpoolError, State
from lwd_recorder.spool.spool import Spool

__all__ = ['Entry', 'Spool', 'SpoolError', 'State']
