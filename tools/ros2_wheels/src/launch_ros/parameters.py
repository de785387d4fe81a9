"""Parameters given to nodes as dictionaries, evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from launch.launch_context import LaunchContext
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.typed_values import is_uniform

from launch_ros.parameter_descriptions import ParameterValue

_SCALARS = (bool, int, float, str)


def evaluate_parameters(
    context: LaunchContext, parameters: Mapping[Any, Any], prefix: str = ''
) -> dict[str, Any]:
    """Return name -> value, nested names joined by dots, substitutions performed.

    Plain strings stay strings; the text of substitutions becomes a value by YAML's rules,
    unless a ParameterValue says its type. A list of strings with substitutions among them is
    one text; lists of such lists are lists of values.

    Raises:
        TypeError: A value is none that a parameter can have.
    """
    values: dict[str, Any] = {}
    for key, value in parameters.items():
        name = prefix + perform_substitutions(context, normalize_to_list_of_substitutions(key))
        if isinstance(value, Mapping):
            values |= evaluate_parameters(context, value, f'{name}.')
        else:
            values[name] = evaluate_parameter(context, name, value)
    return values


def evaluate_parameter(context: LaunchContext, name: str, value: Any) -> Any:
    """Return the value of one parameter.

    Raises:
        TypeError: It is none that a parameter can have.
    """
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, Substitution):
        return _from_text(name, value.perform(context))
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, bytes):
        return list(value)
    if not isinstance(value, Sequence):
        raise TypeError(
            f"parameter '{name}': a value of type {type(value).__name__} is not possible: "
            f'{value!r}'
        )
    if any(isinstance(item, Substitution) for item in value) and all(
        isinstance(item, (str, Substitution)) for item in value
    ):
        text = perform_substitutions(context, normalize_to_list_of_substitutions(value))
        return _from_text(name, text)
    items = [
        item if isinstance(item, _SCALARS) else _from_text(name, _text(context, item))
        for item in value
    ]
    if {type(item) for item in items} == {int, float}:
        items = [float(item) for item in items]
    if not items or not is_uniform(items):
        raise TypeError(
            f"parameter '{name}': expected a non-empty list of items of one type "
            f'(bool, int, float or str), got {items!r}'
        )
    return items


def _text(context: LaunchContext, item: Any) -> str:
    return perform_substitutions(context, normalize_to_list_of_substitutions(item))


def _from_text(name: str, text: str) -> Any:
    if not text:
        return ''
    advice = (
        'if it is meant to be a string, wrap it in '
        'launch_ros.parameter_descriptions.ParameterValue(value, value_type=str)'
    )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TypeError(f"parameter '{name}': {text!r} is not YAML; {advice}") from error
    if not is_uniform(value) or value == []:
        raise TypeError(
            f"parameter '{name}': {text!r} stands for {value!r}, which is neither a bool, int, "
            f'float or str nor a non-empty list of one of them; {advice}'
        )
    return value
