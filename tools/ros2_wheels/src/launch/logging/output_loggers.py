"""Loggers for a process's stdout and stderr, by its `output` configuration."""

from __future__ import annotations

import logging
from typing import Any

from launch.logging.launch_config import LaunchConfig

_ALIASES: dict[str, dict[str, set[str]]] = {
    'screen': {'both': {'screen'}},
    'log': {'both': {'log'}, 'stderr': {'screen'}},
    'both': {'both': {'log', 'screen'}},
    'own_log': {'both': {'own_log'}, 'stdout': {'own_log'}, 'stderr': {'own_log'}},
    'full': {
        'both': {'screen', 'log', 'own_log'},
        'stdout': {'own_log'},
        'stderr': {'own_log'},
    },
}
_SOURCES = ('stdout', 'stderr', 'both')
_DESTINATIONS = ('screen', 'log', 'own_log')


def destinations(output: Any) -> dict[str, set[str]]:
    """Return the destinations of 'stdout', 'stderr' and 'both'.

    Args:
        output: One of screen, log, both, own_log, full; or a dict from stdout, stderr, both to
            one or more of screen, log, own_log.

    Raises:
        ValueError: The configuration, a source or a destination is unknown.
    """
    if isinstance(output, str):
        if output not in _ALIASES:
            raise ValueError(
                f'{output!r} is not a valid output configuration: one of {", ".join(_ALIASES)}'
            )
        return {source: _ALIASES[output].get(source, set()) for source in _SOURCES}
    if not isinstance(output, dict):
        raise ValueError(f'{output!r} is not a valid output configuration')
    found: dict[str, set[str]] = {source: set() for source in _SOURCES}
    for source, wanted in output.items():
        if source not in _SOURCES:
            raise ValueError(f'{source!r} is not a valid output source: {", ".join(_SOURCES)}')
        found[source] = {wanted} if isinstance(wanted, str) else set(wanted)
        unknown = found[source] - set(_DESTINATIONS)
        if unknown:
            raise ValueError(
                f'{sorted(unknown)} are not valid output destinations: {", ".join(_DESTINATIONS)}'
            )
    return found


def get_output_loggers(process_name: str, output_config: Any) -> tuple[logging.Logger, ...]:
    """Return the loggers for a process's stdout and stderr lines."""
    config = LaunchConfig.shared()
    wanted = destinations(output_config)
    plain = logging.Formatter('{msg}', style='{')
    loggers = []
    for source in ('stdout', 'stderr'):
        logger = config.bare_logger(f'{process_name}-{source}')
        logger.setLevel(logging.DEBUG)
        if not logger.handlers:
            either = wanted['both'] | wanted[source]
            if 'screen' in either:
                logger.addHandler(config.screen_handler(plain))
            if 'log' in either:
                stamped = logging.Formatter('{created:.7f} {msg}', style='{')
                logger.addHandler(config.file_handler(formatter=stamped))
            if 'own_log' in wanted[source]:
                logger.addHandler(config.file_handler(f'{process_name}-{source}.log', plain))
            if 'own_log' in wanted['both']:
                logger.addHandler(config.file_handler(f'{process_name}.log', plain))
        loggers.append(logger)
    return tuple(loggers)
