"""Matchers that pick processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _on_details(accepts: Callable[[dict[str, Any]], bool]) -> Callable[[Any], bool]:
    def matcher(action: Any) -> bool:
        return action.process_details is not None and accepts(action.process_details)

    return matcher


def matches_pid(pid: int) -> Callable[[Any], bool]:
    """Return a matcher for the process with this id."""
    return _on_details(lambda details: bool(details.get('pid') == pid))


def matches_name(name: str) -> Callable[[Any], bool]:
    """Return a matcher for the process with this unique name, e.g. 'talker-1'."""
    return _on_details(lambda details: bool(details['name'] == name))


def matches_executable(executable: str) -> Callable[[Any], bool]:
    """Return a matcher for processes whose command begins with a path that ends so."""
    return _on_details(lambda details: str(details['cmd'][0]).endswith(executable))
