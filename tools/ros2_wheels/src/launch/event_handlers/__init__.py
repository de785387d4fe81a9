"""Handlers that yield actions when something happens."""

from launch._subset import reject_unknown
from launch.event_handlers.on_action_event_base import OnActionEventBase
from launch.event_handlers.on_process import OnProcessExit, OnProcessIO, OnProcessStart
from launch.event_handlers.on_shutdown import OnShutdown

__all__ = ['OnActionEventBase', 'OnProcessExit', 'OnProcessIO', 'OnProcessStart', 'OnShutdown']
__getattr__ = reject_unknown('launch.event_handlers', __all__)
