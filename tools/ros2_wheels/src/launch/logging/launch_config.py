"""Log directory, formats, verbosity and handlers of the running launch."""

from __future__ import annotations

import datetime
import logging
import os
import socket
import sys
from pathlib import Path
from typing import ClassVar

_SCREEN_FORMAT = '[{levelname}] [{name}]: {msg}'
_FILE_FORMAT = '{created:.7f} [{levelname}] [{name}]: {msg}'


class _ScreenHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the current sys.stdout; a closed screen must not end the launch."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stdout

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            return
        super().handleError(record)


def _format_from_environment(variable: str, default: str) -> logging.Formatter:
    override = os.environ.get(variable)
    if override:
        default = override.encode('latin1').decode('unicode_escape')
    return logging.Formatter(default, style='{')


def logging_directory() -> Path:
    """Return the directory below which all launches log."""
    directory = os.environ.get('ROS_LOG_DIR')
    if not directory:
        directory = str(Path(os.environ.get('ROS_HOME') or '~/.ros') / 'log')
    return Path(directory).expanduser()


class LaunchConfig:
    """The logging state of this process."""

    _shared: ClassVar[LaunchConfig | None] = None

    def __init__(self) -> None:
        self._log_dir: Path | None = None
        self._loggers: dict[str, logging.Logger] = {}
        self._handlers: list[logging.Handler] = []
        self._level = logging.INFO

    @classmethod
    def shared(cls) -> LaunchConfig:
        """Return the one instance of the process."""
        if cls._shared is None:
            cls._shared = cls()
        return cls._shared

    def reset(self) -> None:
        """Close files and forget everything."""
        for logger in self._loggers.values():
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
        for handler in self._handlers:
            handler.close()
        self.__init__()  # type: ignore[misc]

    @property
    def level(self) -> int:
        """The verbosity of launch's loggers, a level of Python's `logging`."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        self._level = level
        for logger in self._loggers.values():
            logger.setLevel(level)

    @property
    def log_dir(self) -> str:
        """The folder of this launch, made on first use."""
        if self._log_dir is None:
            stamp = datetime.datetime.now().strftime('%Y-%m-%d-%H-%M-%S-%f')
            name = f'{stamp}-{socket.gethostname()}-{os.getpid()}'
            directory = logging_directory() / name
            try:
                directory.mkdir(parents=True)
                self._point_latest_to(directory)
            except OSError as error:
                raise RuntimeError(
                    f'cannot make the log folder {directory}: {error}; ROS_LOG_DIR names another'
                ) from error
            self._log_dir = directory
        return str(self._log_dir)

    @log_dir.setter
    def log_dir(self, directory: str) -> None:
        if not Path(directory).is_dir():
            raise ValueError(f'{directory} is not a directory')
        self._log_dir = Path(directory)

    @staticmethod
    def _point_latest_to(directory: Path) -> None:
        latest = directory.parent / 'latest'
        if latest.exists() and not latest.is_symlink():
            return  # somebody's own file or folder: leave it
        fresh = directory.parent / f'.latest-{os.getpid()}'
        fresh.symlink_to(directory, target_is_directory=True)
        fresh.replace(latest)  # atomic: launches may start at the same time

    def get_log_file_path(self, file_name: str = 'launch.log') -> str:
        """Return the path of a log file of this launch."""
        return str(Path(self.log_dir) / file_name)

    def screen_handler(self, formatter: logging.Formatter | None = None) -> logging.Handler:
        """Return a new handler that writes to the screen."""
        handler = _ScreenHandler()
        handler.setFormatter(
            formatter or _format_from_environment('OVERRIDE_LAUNCH_SCREEN_FORMAT', _SCREEN_FORMAT)
        )
        self._handlers.append(handler)
        return handler

    def file_handler(
        self, file_name: str = 'launch.log', formatter: logging.Formatter | None = None
    ) -> logging.Handler:
        """Return a new handler that appends to a log file of this launch."""
        handler = logging.FileHandler(self.get_log_file_path(file_name), encoding='utf-8')
        handler.setFormatter(
            formatter or _format_from_environment('OVERRIDE_LAUNCH_LOG_FORMAT', _FILE_FORMAT)
        )
        self._handlers.append(handler)
        return handler

    def bare_logger(self, name: str) -> logging.Logger:
        """Return a logger without handlers of its own, apart from Python's root logger."""
        logger = self._loggers.get(name)
        if logger is None:
            logger = logging.Logger(name, self._level)  # not registered: nobody else's handlers
            self._loggers[name] = logger
        return logger

    def get_logger(self, name: str | None = None) -> logging.Logger:
        """Return a logger that writes to the screen and to launch.log."""
        name = name or 'root'
        known = name in self._loggers
        logger = self.bare_logger(name)
        if not known:
            logger.addHandler(self.screen_handler())
            logger.addHandler(_LazyFileHandler(self))
        return logger


class _LazyFileHandler(logging.Handler):
    """Opens launch.log when the first line is written, so that --show-args leaves no folder."""

    def __init__(self, config: LaunchConfig) -> None:
        super().__init__()
        self._config = config
        self._target: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._target is None:
            self._target = self._config.file_handler()
        self._target.handle(record)
