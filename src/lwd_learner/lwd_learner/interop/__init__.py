"""Other people's data and ours: LeRobot data sets out and in, plain rosbag2 bags in."""

from lwd_learner.interop.errors import InteropError

__all__ = ['InteropError']
