"""Find a ROS domain that nobody on this machine uses, so that two runs never hear each other."""

from __future__ import annotations

import socket

FIRST, LAST = (
    1,
    101,
)  # the ids that DDS's port mapping makes safe on Linux; 0 is everybody's default
MULTICAST_PORT_BASE = 7400
UNICAST_PORT_OFFSET = 10
PORTS_PER_DOMAIN = 250


class DomainInUseError(RuntimeError):
    """The wanted domain has participants already, or none is free."""


def choose_domain(wanted: int | None) -> int:
    """Return `wanted` when it is free, or the first free id.

    Raises:
        DomainInUseError: `wanted` is in use, or every id is.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise DomainInUseError(
                f'ROS domain {wanted} is in use on this machine; leave out --domain-id to have a free one chosen'
            )
        return wanted
    for domain in range(LAST, FIRST - 1, -1):
        if is_free(domain):
            return domain
    raise DomainInUseError(
        f'no free ROS domain between {FIRST} and {LAST}; stop some ROS processes'
    )


def is_free(domain: int) -> bool:
    """Whether no participant holds the domain's first unicast discovery port (DDSI-RTPS 9.6.1.1)."""
    port = MULTICAST_PORT_BASE + PORTS_PER_DOMAIN * domain + UNICAST_PORT_OFFSET
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('0.0.0.0', port))
        except OSError:
            return False
    return True
