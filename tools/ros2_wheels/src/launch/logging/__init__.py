"""Where launch's own lines and its processes' output go: screen, launch.log, own files.

The directory is `$ROS_LOG_DIR`, else `$ROS_HOME/log`, else `~/.ros/log`; each launch has a
folder in it and `latest` points to the newest. Logging goes through Python's `logging`.
"""

from __future__ import annotations

import logging

from launch._subset import reject_unknown
from launch.logging.launch_config import LaunchConfig
from launch.logging.output_loggers import get_output_loggers

__all__ = ['get_logger', 'get_output_loggers', 'launch_config', 'log_launch_config', 'reset']

launch_config = LaunchConfig.shared()


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger that writes `[LEVEL] [name]: message` to the screen and launch.log."""
    return launch_config.get_logger(name)


def log_launch_config(*, logger: logging.Logger = logging.root) -> None:
    """Log where the log files are and the verbosity."""
    logger.info(f'All log files can be found below {launch_config.log_dir}')
    logger.info(f'Default logging verbosity is set to {logging.getLevelName(launch_config.level)}')


def reset() -> None:
    """Forget directory and handlers; the next logger starts afresh."""
    launch_config.reset()


__getattr__ = reject_unknown('launch.logging', __all__)
