"""The output of a command."""

from __future__ import annotations

import shlex
import subprocess

from launch import logging as launch_logging
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions.substitution_failure import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

_ON_STDERR = ('fail', 'ignore', 'warn', 'capture')


class Command(Substitution):
    """The stdout of a command; `on_stderr` is fail, ignore, warn or capture."""

    def __init__(
        self, command: SomeSubstitutionsType, *, on_stderr: SomeSubstitutionsType = 'fail'
    ) -> None:
        self._command = normalize_to_list_of_substitutions(command)
        self._on_stderr = normalize_to_list_of_substitutions(on_stderr)

    @property
    def command(self) -> list[Substitution]:
        """The command line, split as a shell would."""
        return self._command

    @property
    def on_stderr(self) -> list[Substitution]:
        """What output on stderr means."""
        return self._on_stderr

    def describe(self) -> str:
        """Return a short description."""
        return f'Command({" + ".join(part.describe() for part in self._command)})'

    def perform(self, context: LaunchContext) -> str:
        """Run the command and return its output.

        Raises:
            SubstitutionFailure: It was not found, failed, or wrote to stderr under 'fail'.
        """
        line = perform_substitutions(context, self._command)
        on_stderr = perform_substitutions(context, self._on_stderr)
        if on_stderr not in _ON_STDERR:
            raise SubstitutionFailure(
                f"expected 'on_stderr' to be one of {', '.join(_ON_STDERR)}, got '{on_stderr}'"
            )
        try:
            result = subprocess.run(
                shlex.split(line),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if on_stderr == 'capture' else subprocess.PIPE,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise SubstitutionFailure(f'file not found: {error}') from error
        complaint = f'\nCaptured stderr output: {result.stderr}' if result.stderr else ''
        if result.returncode != 0:
            raise SubstitutionFailure(
                f'executed command failed with exit code {result.returncode}. '
                f'Command: {line}{complaint}'
            )
        if complaint:
            message = f'executed command showed stderr output. Command: {line}{complaint}'
            if on_stderr == 'fail':
                raise SubstitutionFailure(message)
            if on_stderr == 'warn':
                launch_logging.get_logger('launch').warning(message)
        return result.stdout
