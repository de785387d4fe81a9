"""Installed interface definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ament_index_python import get_resource, get_resources

from ros2_wheels.packages import prefix_of

_KINDS = ('msg', 'srv', 'action')
_PRIMITIVES = re.compile(r'(bool|byte|char|u?int(8|16|32|64)|float(32|64)|w?string)(<=\d+)?$')


def interface_names() -> list[str]:
    """Return the names of all installed interfaces, e.g. 'std_msgs/msg/String', sorted."""
    names = set()
    for package in get_resources('rosidl_interfaces'):
        content, _ = get_resource('rosidl_interfaces', package)
        for line in content.splitlines():
            path = Path(line)
            if path.parent.name in _KINDS and path.suffix in ('.idl', '.msg', '.srv', '.action'):
                names.add(f'{package}/{path.parent.name}/{path.stem}')
    return sorted(names)


def definition_lines(
    name: str, *, comments: bool = True, nested_comments: bool = False
) -> Iterator[str]:
    """Yield the lines of an interface's definition, nested ones indented by a tab.

    Args:
        name: E.g. 'std_msgs/msg/String'.
        comments: Whether comments and blank lines are kept.
        nested_comments: The same for nested definitions.

    Raises:
        RuntimeError: There is no such interface.
    """
    parts = name.split('/')
    if len(parts) != 3 or parts[1] not in _KINDS:
        raise RuntimeError(f"Invalid name '{name}'. Expected <package>/msg|srv|action/<name>")
    package, kind, stem = parts
    path = prefix_of(package) / 'share' / package / kind / f'{stem}.{kind}'
    if not path.is_file():
        raise RuntimeError(f"Could not find the interface '{path}'")
    for raw in path.read_text().splitlines():
        code = _without_comment(raw)
        line = raw.rstrip() if comments else code
        if line or comments:
            yield line
        nested = _nested_type(code, package)
        if nested is not None:
            for below in definition_lines(
                nested, comments=nested_comments, nested_comments=nested_comments
            ):
                yield f'\t{below}' if below else below


def _without_comment(line: str) -> str:
    quoted = re.match(r"""((?:[^#'"]|'[^']*'|"[^"]*")*)""", line)
    return (quoted.group(1) if quoted else line).rstrip()


def _nested_type(code: str, package: str) -> str | None:
    """Return the full name of a field's interface, None for primitives, constants and rules."""
    words = code.split()
    if len(words) < 2 or '=' in words[1] or (len(words) > 2 and words[2].startswith('=')):
        return None
    kind = words[0].split('[')[0]
    if _PRIMITIVES.match(kind):
        return None
    return kind.replace('/', '/msg/') if '/' in kind else f'{package}/msg/{kind}'
