"""A name made unique."""

from __future__ import annotations

import os
import re
import secrets
import socket

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class AnonName(Substitution):
    """A unique name made from a given one; the same within a launch."""

    def __init__(self, name: SomeSubstitutionsType) -> None:
        self._name = normalize_to_list_of_substitutions(name)

    def describe(self) -> str:
        """Return a short description."""
        return f'AnonName({" + ".join(part.describe() for part in self._name)})'

    def perform(self, context: LaunchContext) -> str:
        """Return the unique name."""
        name = perform_substitutions(context, self._name)
        key = f'anon{name}'
        if key not in context.launch_configurations:
            parts = (name, socket.gethostname(), str(os.getpid()), str(secrets.randbits(62)))
            context.launch_configurations[key] = re.sub('[.:-]', '_', '_'.join(parts))
        value: str = context.launch_configurations[key]
        return value
