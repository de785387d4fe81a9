"""Find a ROS domain that nobody on this machine uses, and keep it: a second run on this machine gets another."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

# The ids that DDS's port mapping makes safe on Linux; 0 is everybody's default, and never chosen.
FIRST, LAST = 1, 101
MULTICAST_PORT_BASE = 7400
UNICAST_PORT_OFFSET = 10
PORTS_PER_DOMAIN = 250
LOCKS = Path('/tmp')  # everybody's, whatever TMPDIR is

_kept: list[int] = []  # descriptors of locks, open until this process ends


class DomainInUseError(RuntimeError):
    """The wanted domain has participants or a run already, or does not exist, or none is free."""


def choose_domain(wanted: int | None) -> int:
    """Return `wanted` when it is free, or the first free id; it is this process's until that ends.

    Raises:
        DomainInUseError: `wanted` is in use or outside 0 to 101, or every id is in use.
    """
    if wanted is not None:
        if not 0 <= wanted <= LAST:
            raise DomainInUseError(
                f'ROS domain {wanted} is outside 0 to {LAST}; leave out --domain-id to have a free one chosen'
            )
        if not _take(wanted):
            raise DomainInUseError(
                f'ROS domain {wanted} is in use on this machine; leave out --domain-id to have a free one chosen'
            )
        return wanted
    for domain in range(LAST, FIRST - 1, -1):
        if _take(domain):
            return domain
    raise DomainInUseError(
        f'no free ROS domain between {FIRST} and {LAST}; stop some ROS processes'
    )


def _take(domain: int) -> bool:
    """Lock the domain against other runs, whose first participant may come minutes later, if it is free."""
    path = LOCKS / f'lwd_ros_domain_{domain}.lock'
    try:
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        return False  # another user's: whether it is locked cannot be known
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = is_free(domain)
    except BlockingIOError:
        free = False
    if free:
        _kept.append(lock)
    else:
        os.close(lock)
    return free


def is_free(domain: int) -> bool:
    """Whether no participant holds the domain's first unicast discovery port (DDSI-RTPS 9.6.1.1)."""
    port = MULTICAST_PORT_BASE + PORTS_PER_DOMAIN * domain + UNICAST_PORT_OFFSET
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('0.0.0.0', port))
        except OSError:
            return False
    return True
