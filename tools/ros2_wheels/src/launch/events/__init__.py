"""Events of a launch."""

from launch._subset import reject_unknown
from launch.events import process
from launch.events.include_launch_description import IncludeLaunchDescription
from launch.events.matchers import matches_action
from launch.events.shutdown import Shutdown
from launch.events.timer_event import TimerEvent

__all__ = ['IncludeLaunchDescription', 'Shutdown', 'TimerEvent', 'matches_action', 'process']
__getattr__ = reject_unknown('launch.events', __all__)
