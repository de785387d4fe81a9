"""Values that may be given as such or as substitutions, with the type they must have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml

from launch.substitution import Substitution
from launch.utilities.substitution_lists import (
    normalize_to_list_of_substitutions,
    perform_substitutions,
)

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

SCALARS = (bool, int, float, str)


def split_type(value_type: Any) -> tuple[type | None, bool]:
    """Return (scalar type or None, whether a list of it is meant).

    Raises:
        ValueError: The type is not bool, int, float, str, a list of one of them, or None.
    """
    if value_type is None or value_type in SCALARS:
        return value_type, False
    if get_origin(value_type) is list and get_args(value_type)[0] in SCALARS:
        return get_args(value_type)[0], True
    raise ValueError(
        f'unrecognized data type: {value_type}; expected bool, int, float, str or a List of one'
    )


def is_uniform(value: Any) -> bool:
    """Return True for a scalar or a list of scalars that all have one type."""
    if isinstance(value, (list, tuple)):
        kinds = {type(item) for item in value}
        return len(kinds) <= 1 and kinds <= set(SCALARS)
    return isinstance(value, SCALARS)


def coerce(text: str, value_type: Any = None) -> Any:
    """Turn text into a value: by YAML's rules, or into `value_type`.

    Raises:
        ValueError: The text does not stand for such a value.
    """
    scalar, is_list = split_type(value_type)
    if not is_list:
        if scalar is str or (scalar is None and not text):
            return text
        if scalar in (int, float):
            return scalar(text)
        if scalar is bool and text in ('0', '1'):
            return text == '1'
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f'{text!r} is not YAML: {error}') from error
    if not is_uniform(value):
        raise ValueError(f'{text!r} is neither a bool, int, float, str nor a uniform list')
    if is_list:
        if not isinstance(value, list) or any(type(item) is not scalar for item in value):
            raise ValueError(f'cannot convert {text!r} to a list of {scalar}')
    elif scalar is not None and not isinstance(value, scalar):
        raise ValueError(f'cannot convert {text!r} to {scalar}')
    return value


def is_substitution(value: Any) -> bool:
    """Return True for a substitution, or a list of text that holds at least one."""
    if isinstance(value, Substitution):
        return True
    if isinstance(value, str) or not isinstance(value, Iterable):
        return False
    items = list(value)
    return all(isinstance(item, (str, Substitution)) for item in items) and any(
        isinstance(item, Substitution) for item in items
    )


def perform_typed(context: LaunchContext, value: Any, value_type: Any = None) -> Any:
    """Return `value` with substitutions performed, as `value_type`.

    Args:
        context: The launch context.
        value: A value of the type, a substitution, or a list of either.
        value_type: bool, int, float, str, a List of one of them; None: YAML's rules.

    Raises:
        ValueError: The text of a substitution does not stand for such a value.
        TypeError: A plain value has another type.
    """
    scalar, is_list = split_type(value_type)
    if is_substitution(value):
        return coerce(
            perform_substitutions(context, normalize_to_list_of_substitutions(value)), value_type
        )
    if isinstance(value, SCALARS):
        if is_list or (scalar is not None and not isinstance(value, scalar)):
            raise TypeError(f'value {value!r} is not an instance of {value_type}')
        return value
    if isinstance(value, Iterable):
        if scalar is not None and not is_list:
            raise TypeError(f'value {value!r} is a list, expected {scalar}')
        items = [perform_typed(context, item, scalar) for item in value]
        if not is_uniform(items):
            raise ValueError(f'the items of {items!r} do not have one type')
        return items
    raise TypeError(f'value {value!r} has unsupported type {type(value).__name__}')


def perform_bool(context: LaunchContext, value: Any) -> bool:
    """Return a boolean given as such or as text true, false, 1 or 0 (YAML's words too)."""
    if isinstance(value, str):
        value = normalize_to_list_of_substitutions(value)
    return bool(perform_typed(context, value, bool))


def perform_float(context: LaunchContext, value: Any) -> float:
    """Return a number given as such or as text."""
    if isinstance(value, int):
        return float(value)
    if isinstance(value, str):
        value = normalize_to_list_of_substitutions(value)
    return float(perform_typed(context, value, float))
