"""Parameters and parameter files of nodes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.typed_values import perform_bool, perform_typed, split_type

from launch_ros.text_with_substitutions import parse_substitutions


class ParameterValue:
    """The value of a parameter, with the type that it must have.

    Args:
        value: A value, or a substitution.
        value_type: bool, int, float, str, a List of one of them; None: by YAML's rules.
    """

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        split_type(value_type)  # complain here about a wrong type, not when launching
        self._value = value
        self._value_type = value_type

    @property
    def value(self) -> Any:
        """The value as given."""
        return self._value

    @property
    def value_type(self) -> Any:
        """The type."""
        return self._value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value.

        Raises:
            ValueError: A substitution's text does not stand for a value of the type.
            TypeError: A plain value has another type.
        """
        return perform_typed(context, self._value, self._value_type)


class Parameter:
    """A parameter's name and value."""

    def __init__(self, name: SomeSubstitutionsType, value: Any, *, value_type: Any = None) -> None:
        self._name = normalize_to_list_of_substitutions(name)
        self._value = ParameterValue(value, value_type=value_type)

    @property
    def name(self) -> list[Substitution]:
        """The name."""
        return self._name

    @property
    def value(self) -> Any:
        """The value as given."""
        return self._value.value

    def evaluate(self, context: LaunchContext) -> tuple[str, Any]:
        """Return name and value."""
        return perform_substitutions(context, self._name), self._value.evaluate(context)


class ParameterFile:
    """A YAML file of parameters; with `allow_substs`, `$(var x)` and the like are replaced."""

    def __init__(
        self,
        param_file: os.PathLike[str] | SomeSubstitutionsType,
        *,
        allow_substs: bool | SomeSubstitutionsType = False,
    ) -> None:
        self._param_file = normalize_to_list_of_substitutions(param_file)
        self._allow_substs = allow_substs

    @property
    def param_file(self) -> list[Substitution]:
        """The path."""
        return self._param_file

    def evaluate(self, context: LaunchContext) -> Path:
        """Return the path, of a copy if something had to be replaced.

        Raises:
            SubstitutionFailure: What results is not YAML.
        """
        path = Path(perform_substitutions(context, self._param_file))
        if not perform_bool(context, self._allow_substs):
            return path
        text = perform_substitutions(context, parse_substitutions(path.read_text()))
        try:
            yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SubstitutionFailure(
                f'the parameter file {path} is not valid YAML after substitution: {error}'
            ) from error
        return write_temporary_parameter_file(context, text)


def write_temporary_parameter_file(context: LaunchContext, text: str) -> Path:
    """Write a parameter file that is removed when the launch ends."""
    with tempfile.NamedTemporaryFile(
        mode='w', prefix='launch_params_', suffix='.yaml', delete=False
    ) as file:
        file.write(text)
    path = Path(file.name)
    context.at_exit.append(lambda: path.unlink(missing_ok=True))
    return path
