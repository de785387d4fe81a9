"""Classes of messages and services by their type names."""

from __future__ import annotations

import importlib
from typing import Any


def import_interface(type_name: str, kind: str) -> Any:
    """Return the class of an interface type.

    Args:
        type_name: E.g. 'std_msgs/msg/String' or 'std_msgs/String'.
        kind: 'msg', 'srv' or 'action', for names without it.

    Raises:
        RuntimeError: There is no such type.
    """
    parts = type_name.split('/')
    if len(parts) == 2:
        parts.insert(1, kind)
    if len(parts) != 3 or not all(parts) or parts[1] != kind:
        raise RuntimeError(
            f"The passed type '{type_name}' is invalid: not <package>/{kind}/<name>"
        )
    try:
        return getattr(importlib.import_module(f'{parts[0]}.{parts[1]}'), parts[2])
    except (AttributeError, ModuleNotFoundError) as error:
        raise RuntimeError(f"The type '{type_name}' is invalid: {error}") from error
