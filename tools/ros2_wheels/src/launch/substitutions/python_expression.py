"""The value of a Python expression."""

from __future__ import annotations

import importlib
from typing import Any

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions


class PythonExpression(Substitution):
    """The text of a Python expression's value; the names of `math` are known to it."""

    def __init__(
        self,
        expression: SomeSubstitutionsType,
        python_modules: SomeSubstitutionsType = ('math',),
    ) -> None:
        self._expression = normalize_to_list_of_substitutions(expression)
        self._python_modules = normalize_to_list_of_substitutions(python_modules)

    @property
    def expression(self) -> list[Substitution]:
        """The expression."""
        return self._expression

    @property
    def python_modules(self) -> list[Substitution]:
        """The modules that the expression may name."""
        return self._python_modules

    def describe(self) -> str:
        """Return a short description."""
        expression = ' + '.join(part.describe() for part in self._expression)
        modules = ', '.join(part.describe() for part in self._python_modules)
        return f'PythonExpr({expression}, [{modules}])'

    def perform(self, context: LaunchContext) -> str:
        """Return the value as text."""
        names: dict[str, Any] = {}
        for part in self._python_modules:
            module = importlib.import_module(part.perform(context))
            if module.__name__ == 'math':
                names.update(vars(module))
            names[module.__name__] = module
        source = ''.join(part.perform(context) for part in self._expression)
        return str(eval(source, {}, names))
