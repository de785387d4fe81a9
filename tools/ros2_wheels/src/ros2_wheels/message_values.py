"""Messages as plain Python values and YAML, and back."""

from __future__ import annotations

import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import yaml

from ros2_wheels.interfaces import import_interface

_Stamp = Callable[[Any], None]


def to_yaml(
    value: Any,
    *,
    truncate_length: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
    flow_style: bool = False,
) -> str:
    """Return a message as YAML, fields in their order.

    Args:
        value: The message.
        truncate_length: Longest array or text that is shown whole; None: all are.
        no_arr: Whether arrays are replaced by their type and length.
        no_str: Whether text is replaced by its length.
        flow_style: Whether YAML's flow style is used.
    """
    plain = to_plain(value, truncate_length=truncate_length, no_arr=no_arr, no_str=no_str)
    return yaml.safe_dump(
        plain,
        allow_unicode=True,
        width=float('inf'),
        default_flow_style=flow_style,
        sort_keys=False,
    )


def to_plain(
    value: Any,
    *,
    truncate_length: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
    field_type: str = '',
) -> Any:
    """Return a message or a field of one as dicts, lists and scalars."""
    below = partial(to_plain, truncate_length=truncate_length, no_arr=no_arr, no_str=no_str)
    if isinstance(value, bytes):
        value = value.decode('latin1')
    elif isinstance(value, str) and no_str:
        return f'<string length: <{len(value)}>>'
    if isinstance(value, str):
        too_long = truncate_length is not None and len(value) > truncate_length
        return value[:truncate_length] + '...' if too_long else value
    if isinstance(value, (list, tuple, array.array, np.ndarray)):
        if no_arr and field_type:
            return _abbreviated(field_type, len(value))
        if truncate_length is not None and len(value) > truncate_length:
            return [*(below(item) for item in value[:truncate_length]), '...']
        return [below(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bool, int, float)):
        return value
    return {
        name: below(getattr(value, name), field_type=kind)
        for name, kind in value.get_fields_and_field_types().items()
    }


def _abbreviated(field_type: str, length: int) -> str:
    """Return e.g. '<sequence type: uint8, length: 3>' or '<array type: double[9]>'."""
    if field_type.startswith('sequence<'):
        inner, _, bound = field_type.removeprefix('sequence<').removesuffix('>').partition(', ')
        return f'<sequence type: {inner}{f"[{bound}]" if bound else ""}, length: {length}>'
    return f'<array type: {field_type}>'


def fill_message(message: Any, values: Any, stamps: list[_Stamp] | None = None) -> list[_Stamp]:
    """Set the fields of a message.

    Args:
        message: The message.
        values: Field name -> value; 'now' for a time and 'auto' for a header mean the time of
            publishing.
        stamps: Collects the setters of such times.

    Returns:
        The setters, each to be called with a Time message.

    Raises:
        RuntimeError: A field does not exist, or does not take the value.
    """
    stamps = [] if stamps is None else stamps
    if not isinstance(values, dict):
        raise RuntimeError(
            f"Value '{values}' is expected to be a dictionary but is a {type(values).__name__}"
        )
    kinds = message.get_fields_and_field_types()
    for name, value in values.items():
        if name not in kinds:
            raise RuntimeError(
                f"'{type(message).__name__}' has no field '{name}'; it has {', '.join(kinds)}"
            )
        if kinds[name] == 'std_msgs/Header' and value == 'auto':
            stamps.append(partial(setattr, getattr(message, name), 'stamp'))
        elif kinds[name] == 'builtin_interfaces/Time' and value == 'now':
            stamps.append(partial(setattr, message, name))
        else:
            try:
                setattr(
                    message, name, _field_value(getattr(message, name), kinds[name], value, stamps)
                )
            except (AssertionError, TypeError, ValueError, OverflowError) as error:
                raise RuntimeError(
                    f"field '{name}' of type '{kinds[name]}' does not take {value!r}: {error}"
                ) from error
    return stamps


def _field_value(current: Any, kind: str, value: Any, stamps: list[_Stamp]) -> Any:
    if hasattr(current, 'get_fields_and_field_types'):
        fill_message(current, value, stamps)
        return current
    if isinstance(current, array.array):
        return array.array(current.typecode, value)
    if isinstance(current, np.ndarray):
        return np.array(value, dtype=current.dtype)
    if isinstance(current, list):
        inner = kind.removeprefix('sequence<').split('>')[0].split(',')[0].split('[')[0]
        if '/' in inner:
            items = []
            for item in value:
                message = import_interface(inner, 'msg')()
                fill_message(message, item, stamps)
                items.append(message)
            return items
        return list(value)
    if isinstance(current, bytes) and isinstance(value, int):
        return bytes([value])
    if isinstance(current, float) and not isinstance(value, bool):
        return float(value)
    if isinstance(current, str) and not isinstance(value, str):
        return str(value)
    return value
