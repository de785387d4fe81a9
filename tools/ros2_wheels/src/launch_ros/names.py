"""Rules for the names of nodes and namespaces."""

from __future__ import annotations

import re

_TOKEN = '[A-Za-z_][A-Za-z0-9_]*'


def validate_node_name(name: str) -> None:
    """Check the name of a node.

    Raises:
        ValueError: It is not letters, digits and underscores, or begins with a digit.
    """
    if not re.fullmatch(_TOKEN, name):
        raise ValueError(
            f"Invalid node name '{name}': it must consist of letters, digits and underscores "
            'and must not begin with a digit'
        )


def validate_namespace(namespace: str) -> None:
    """Check an absolute namespace.

    Raises:
        ValueError: A part of it is not a name.
    """
    if namespace != '/' and not re.fullmatch(f'(/{_TOKEN})+', namespace):
        raise ValueError(
            f"Invalid namespace '{namespace}': each part must consist of letters, digits and "
            'underscores and must not begin with a digit'
        )


def prefix_namespace(base: str | None, namespace: str | None) -> str | None:
    """Return `namespace` below `base` if it is relative, without a trailing slash."""
    if base is None and namespace is None:
        return None
    if namespace is None:
        combined = base or ''
    elif not base or namespace.startswith('/'):
        combined = namespace
    else:
        combined = f'{base.removesuffix("/")}/{namespace}'
    return combined if combined == '/' else combined.rstrip('/')


def make_namespace_absolute(namespace: str | None) -> str | None:
    """Return the namespace with a slash before it."""
    if namespace is None or namespace.startswith('/'):
        return namespace
    return f'/{namespace}'
