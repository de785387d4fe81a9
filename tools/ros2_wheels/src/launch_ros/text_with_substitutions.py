"""Text with `$(...)` in it, as in parameter files."""

from __future__ import annotations

from collections.abc import Callable

from launch.substitution import Substitution
from launch.substitutions import (
    Command,
    EnvironmentVariable,
    FindExecutable,
    LaunchConfiguration,
    PythonExpression,
    TextSubstitution,
    ThisLaunchFileDir,
)

from launch_ros.substitutions import ExecutableInPackage, FindPackagePrefix, FindPackageShare

_Parts = list[Substitution]
# Name -> (least and most arguments, constructor from the arguments).
_KNOWN: dict[str, tuple[int, int, Callable[[list[_Parts]], Substitution]]] = {
    'var': (1, 2, lambda a: LaunchConfiguration(a[0], default=a[1] if a[1:] else None)),
    'env': (1, 2, lambda a: EnvironmentVariable(a[0], default_value=a[1] if a[1:] else None)),
    'eval': (1, 1, lambda a: PythonExpression(a[0])),
    'command': (1, 2, lambda a: Command(a[0], on_stderr=a[1] if a[1:] else 'fail')),
    'dirname': (0, 0, lambda a: ThisLaunchFileDir()),
    'find-exec': (1, 1, lambda a: FindExecutable(name=a[0])),
    'find-pkg-share': (1, 1, lambda a: FindPackageShare(a[0])),
    'find-pkg-prefix': (1, 1, lambda a: FindPackagePrefix(a[0])),
    'exec-in-pkg': (2, 2, lambda a: ExecutableInPackage(a[0], a[1])),
}


def parse_substitutions(text: str) -> list[Substitution]:
    """Return text with `$(name argument...)` as substitutions; `\\$` is a plain dollar.

    Raises:
        ValueError: A parenthesis is not closed, or a substitution is unknown or has a wrong
            number of arguments.
    """
    parts, end = _parse(text, 0, '')
    assert end == len(text)
    return parts


def _parse(text: str, start: int, stops: str) -> tuple[_Parts, int]:
    """Parse up to the first of `stops`; return the parts and where it ended."""
    parts: _Parts = []
    plain = ''
    quote = ''
    at = start
    while at < len(text):
        char = text[at]
        if text.startswith('$(', at):
            if plain:
                parts.append(TextSubstitution(text=plain))
                plain = ''
            substitution, at = _parse_one(text, at + 2)
            parts.append(substitution)
            continue
        if (
            char == '\\'
            and text[at + 1 : at + 2] in ('$', '"', "'", '\\')
            and (stops or text[at + 1] == '$')
        ):
            plain += text[at + 1]
            at += 2
            continue
        if stops and char in '\'"' and quote in ('', char):
            quote = '' if quote else char
        elif not quote and stops and char in stops:
            break
        else:
            plain += char
        at += 1
    if plain or not parts:
        parts.append(TextSubstitution(text=plain))
    return parts, at


def _parse_one(text: str, start: int) -> tuple[Substitution, int]:
    """Parse `name argument...)`; return the substitution and the place after it."""
    arguments: list[_Parts] = []
    name = ''
    at = start
    while at < len(text) and text[at] != ')':
        if text[at].isspace():
            at += 1
            continue
        # All of `eval` and the first word of the others: words are cut at blanks.
        parts, at = _parse(text, at, ')' if name == 'eval' else ') \t\n')
        if name:
            arguments.append(parts)
        else:
            name = ''.join(p.text if isinstance(p, TextSubstitution) else '$(...)' for p in parts)
    if at >= len(text):
        raise ValueError(f"'$({text[start : start + 40]}' is not closed with ')'")
    if name not in _KNOWN:
        raise ValueError(
            f"unknown substitution '$({name} ...)'; ros2_wheels knows {', '.join(_KNOWN)}"
        )
    least, most, make = _KNOWN[name]
    if not least <= len(arguments) <= most:
        raise ValueError(
            f"'$({name} ...)' takes {least} to {most} arguments, got {len(arguments)}"
        )
    return make(arguments), at + 1
