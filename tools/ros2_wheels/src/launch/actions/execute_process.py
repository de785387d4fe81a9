"""Runs a command."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from launch._process.supervisor import ProcessSettings, Supervisor
from launch.action import Action
from launch.condition import Condition
from launch.event_handler import EventHandler, as_entity_list
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events.process import ShutdownProcess, SignalProcess
from launch.events.shutdown import Shutdown
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import LaunchConfiguration
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.typed_values import perform_bool

_EnvironmentTexts = Mapping[SomeSubstitutionsType, SomeSubstitutionsType]
_counter = itertools.count(1)  # makes process names unique


class ExecuteProcess(Action):
    """Runs a command until it ends or the launch does.

    Args:
        cmd: The executable and its arguments.
        prefix: Command that goes before, e.g. 'gdb --args'; by default the launch
            configuration 'launch-prefix', where 'launch-prefix-filter' matches the executable.
        name: Label of the process, by default the executable's name; '-<n>' is appended.
        cwd: Working directory.
        env: The whole environment; by default that of the launch.
        additional_env: Variables added to it.
        shell: Whether a shell runs the command.
        sigterm_timeout: Seconds from SIGINT to SIGTERM; by default the launch configuration
            'sigterm_timeout', or 5.
        sigkill_timeout: Seconds from SIGTERM to SIGKILL; by default the launch configuration
            'sigkill_timeout', or 5.
        emulate_tty: Whether output goes through a pseudo-terminal; the launch configuration
            'emulate_tty' overrides it.
        output: 'log' (default), 'screen', 'both', 'own_log', 'full', or a dict.
        output_format: Format of a line, with `line` and `this`.
        cached_output: Whether get_stdout() and get_stderr() work.
        log_cmd: Whether the command is logged when it starts.
        on_exit: Actions, or a function of event and context, when the process ends.
        respawn: Whether the command is run again when it ends.
        respawn_delay: Seconds to wait before that.
        respawn_max_retries: How many times; negative: for ever.
        condition: When the command is run.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: _EnvironmentTexts | None = None,
        additional_env: _EnvironmentTexts | None = None,
        shell: bool = False,
        sigterm_timeout: SomeSubstitutionsType | None = None,
        sigkill_timeout: SomeSubstitutionsType | None = None,
        emulate_tty: bool = False,
        output: SomeSubstitutionsType | dict[str, Any] = 'log',
        output_format: str = '[{this.process_details[name]}] {line}',
        cached_output: bool = False,
        log_cmd: bool = False,
        on_exit: Any | None = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._cmd = [normalize_to_list_of_substitutions(part) for part in cmd]
        self._prefix = None if prefix is None else normalize_to_list_of_substitutions(prefix)
        self._name = None if name is None else normalize_to_list_of_substitutions(name)
        self._cwd = None if cwd is None else normalize_to_list_of_substitutions(cwd)
        self._env = None if env is None else _environment_texts(env)
        self._additional_env = _environment_texts(additional_env or {})
        self._shell = shell
        self._timeouts = {
            key: normalize_to_list_of_substitutions(
                LaunchConfiguration(key, default=5) if value is None else value
            )
            for key, value in (
                ('sigterm_timeout', sigterm_timeout),
                ('sigkill_timeout', sigkill_timeout),
            )
        }
        self._emulate_tty = emulate_tty
        self._output = os.environ.get('OVERRIDE_LAUNCH_PROCESS_OUTPUT', output)
        self._output_format = output_format
        self._cached_output = cached_output
        self._log_cmd = log_cmd
        self._on_exit = on_exit
        self._respawn = respawn
        self._respawn_delay = respawn_delay
        self._respawn_max_retries = respawn_max_retries
        self._supervisor: Supervisor | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def cmd(self) -> list[list[Substitution]]:
        """The command, part by part."""
        return self._cmd

    @property
    def process_details(self) -> dict[str, Any] | None:
        """Name, pid, cmd, cwd and env of the process, None before it is executed."""
        return None if self._supervisor is None else self._supervisor.details

    @property
    def return_code(self) -> int | None:
        """The exit code, None while the process runs."""
        return None if self._supervisor is None else self._supervisor.returncode

    def get_stdout(self) -> str:
        """Return what the process wrote to stdout; needs cached_output."""
        return self._cached('stdout')

    def get_stderr(self) -> str:
        """Return what the process wrote to stderr; needs cached_output."""
        return self._cached('stderr')

    def _cached(self, source: str) -> str:
        if not self._cached_output:
            raise RuntimeError(f'cached_output must be True to get the {source} of a process')
        if self._supervisor is None:
            return ''
        return b''.join(self._supervisor.output[source]).decode(errors='replace')

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the actions that the end of the process yields."""
        return [] if callable(self._on_exit) else as_entity_list(self._on_exit)

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return nothing: what the end of the process yields is conditional on that end."""
        return []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return the actions that the end of the process yields."""
        entities = self.get_sub_entities()
        return [('the process ends', entities)] if entities else []

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Start the process."""
        settings = self._perform(context)
        if self._supervisor is not None:
            raise RuntimeError(
                f"ExecuteProcess action '{settings.name}': executed more than once; "
                'make one action for each process'
            )
        if context.is_shutdown:
            return None  # too late to start anything
        supervisor = Supervisor(self, settings, context)
        self._supervisor = supervisor
        context.at_exit.append(supervisor.kill)
        for handler in self._handlers(supervisor):
            context.register_event_handler(handler)
        self._task = context.asyncio_loop.create_task(supervisor.run())
        return None

    def _handlers(self, supervisor: Supervisor) -> list[Any]:
        def on_shutdown(event: Shutdown, context: LaunchContext) -> None:
            # At a terminal's Ctrl-C ROS 2 leaves the first SIGINT to the terminal, unsaid.
            supervisor.request_stop(visible=not event.due_to_sigint or context.noninteractive)

        def on_targeted(context: LaunchContext) -> None:
            event = context.locals.event
            if event.process_matcher(self):
                if isinstance(event, ShutdownProcess):
                    supervisor.request_stop(visible=True)
                else:
                    supervisor.send_signal(event.signal)

        from launch.actions.opaque_function import OpaqueFunction

        handlers: list[Any] = [
            OnShutdown(on_shutdown=on_shutdown),
            EventHandler(
                matcher=lambda event: isinstance(event, (ShutdownProcess, SignalProcess)),
                entities=OpaqueFunction(function=on_targeted),
            ),
        ]
        if self._on_exit is not None:
            handlers.append(OnProcessExit(target_action=self, on_exit=self._on_exit))
        return handlers

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        """Return the life of the process."""
        return self._task

    def _perform(self, context: LaunchContext) -> ProcessSettings:
        cmd = self._prefixed(context, [perform_substitutions(context, part) for part in self._cmd])
        name = (
            Path(cmd[0]).name if self._name is None else perform_substitutions(context, self._name)
        )
        environment = dict(context.environment)
        if self._env is not None:
            environment = _perform_environment(context, self._env)
        environment |= _perform_environment(context, self._additional_env)
        return ProcessSettings(
            name=f'{name}-{next(_counter)}',
            cmd=cmd,
            cwd=None if self._cwd is None else perform_substitutions(context, self._cwd),
            env=environment,
            shell=self._shell,
            emulate_tty=perform_bool(
                context, context.launch_configurations.get('emulate_tty', self._emulate_tty)
            ),
            output=self._output
            if isinstance(self._output, dict)
            else perform_substitutions(context, normalize_to_list_of_substitutions(self._output)),
            output_format=self._output_format,
            sigterm_timeout=perform_substitutions(context, self._timeouts['sigterm_timeout']),
            sigkill_timeout=perform_substitutions(context, self._timeouts['sigkill_timeout']),
            respawn=perform_bool(context, self._respawn),
            respawn_delay_s=self._respawn_delay or 0.0,
            respawn_max_retries=self._respawn_max_retries,
            log_cmd=self._log_cmd,
            cached_output=self._cached_output,
        )

    def _prefixed(self, context: LaunchContext, cmd: list[str]) -> list[str]:
        if self._prefix is not None:
            return shlex.split(perform_substitutions(context, self._prefix)) + cmd
        configurations = context.launch_configurations
        if re.match(configurations.get('launch-prefix-filter', ''), Path(cmd[0]).name):
            return shlex.split(configurations.get('launch-prefix', '')) + cmd
        return cmd


def _environment_texts(
    variables: _EnvironmentTexts,
) -> list[tuple[list[Substitution], list[Substitution]]]:
    return [
        (normalize_to_list_of_substitutions(name), normalize_to_list_of_substitutions(value))
        for name, value in variables.items()
    ]


def _perform_environment(
    context: LaunchContext, variables: list[tuple[list[Substitution], list[Substitution]]]
) -> dict[str, str]:
    return {
        perform_substitutions(context, name): perform_substitutions(context, value)
        for name, value in variables
    }
