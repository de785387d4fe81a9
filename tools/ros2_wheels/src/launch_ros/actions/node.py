"""Runs a ROS node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from launch import logging as launch_logging
from launch.actions import ExecuteProcess
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from launch_ros.names import (
    make_namespace_absolute,
    prefix_namespace,
    validate_namespace,
    validate_node_name,
)
from launch_ros.parameter_descriptions import (
    Parameter,
    ParameterFile,
    write_temporary_parameter_file,
)
from launch_ros.parameters import evaluate_parameters
from launch_ros.substitutions import ExecutableInPackage


class Node(ExecuteProcess):
    """Runs an executable as a ROS node.

    Args:
        executable: Name of the executable in the package, or its path without a package.
        package: The package.
        name: Name of the node; by default the one in its code.
        namespace: Namespace; a relative one goes below the pushed namespaces.
        exec_name: Label of the process, by default the executable's name.
        parameters: Dictionaries, paths of YAML files, ParameterFile or Parameter; later ones
            win, and entries for a full node name win over wildcards.
        remappings: (from, to) pairs.
        ros_arguments: Arguments after --ros-args.
        arguments: Arguments before it.
        **kwargs: As for launch.actions.ExecuteProcess, without cmd and name.
    """

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: list[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        if 'cmd' in kwargs:
            raise TypeError("Node takes 'executable' and 'arguments', not 'cmd'")
        if parameters is not None and not isinstance(parameters, list):
            raise TypeError(f'Node: parameters must be a list, got {parameters!r}')
        target = (
            executable
            if package is None
            else ExecutableInPackage(executable=executable, package=package)
        )
        super().__init__(cmd=[target, *(arguments or ())], name=exec_name, **kwargs)
        self._package = package
        self._executable = executable
        self._node_name = None if name is None else normalize_to_list_of_substitutions(name)
        self._node_namespace = (
            None if namespace is None else normalize_to_list_of_substitutions(namespace)
        )
        self._parameters = [_normalize_parameter(item) for item in parameters or ()]
        self._remappings = [
            (normalize_to_list_of_substitutions(src), normalize_to_list_of_substitutions(dst))
            for src, dst in remappings or ()
        ]
        self._ros_arguments = [
            normalize_to_list_of_substitutions(item) for item in ros_arguments or ()
        ]
        self._final_name: str | None = None
        self._expanded_namespace: str | None = None

    @property
    def node_package(self) -> Any:
        """The package."""
        return self._package

    @property
    def node_executable(self) -> Any:
        """The executable."""
        return self._executable

    @property
    def expanded_node_namespace(self) -> str | None:
        """The absolute namespace, None if none is given to the node."""
        return self._expanded_namespace

    @property
    def node_name(self) -> str:
        """The full name of the node, with a placeholder for a part that is not given."""
        if self._final_name is None:
            raise RuntimeError("cannot access 'node_name' before executing action")
        return self._final_name

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Start the node."""
        ros_arguments = [perform_substitutions(context, item) for item in self._ros_arguments]
        if ros_arguments:
            ros_arguments.insert(0, '--ros-args')
        ros_arguments += ['--ros-args', *self._name_arguments(context)]
        ros_arguments += self._parameter_arguments(context)
        for source, target in self._remapping_rules(context):
            ros_arguments += ['-r', f'{source}:={target}']
        self._cmd += [normalize_to_list_of_substitutions(item) for item in ros_arguments]
        result = super().execute(context)
        self._warn_of_namesake(context)
        return result

    def _name_arguments(self, context: LaunchContext) -> list[str]:
        arguments = []
        name = None
        if self._node_name is not None:
            name = perform_substitutions(context, self._node_name)
            validate_node_name(name)
            arguments += ['-r', f'__node:={name}']
        namespace = None
        if self._node_namespace is not None:
            namespace = perform_substitutions(context, self._node_namespace)
        base = context.launch_configurations.get('ros_namespace')
        self._expanded_namespace = make_namespace_absolute(
            prefix_namespace(base, namespace or None)
        )
        if self._expanded_namespace is not None:
            validate_namespace(self._expanded_namespace)
            arguments += ['-r', f'__ns:={self._expanded_namespace}']
        self._is_fully_named = name is not None and self._expanded_namespace is not None
        self._final_name = '/'.join(
            (
                (self._expanded_namespace or '<node_namespace_unspecified>').removesuffix('/'),
                name or '<node_name_unspecified>',
            )
        )
        return arguments

    def _parameter_arguments(self, context: LaunchContext) -> list[str]:
        arguments: list[str] = []
        for item in context.launch_configurations.get('global_params', ()):
            if isinstance(item, Path):
                arguments += self._file_argument(item)
            else:
                arguments += ['-p', _parameter_rule(*item)]
        for parameter in self._parameters:
            if isinstance(parameter, Parameter):
                arguments += ['-p', _parameter_rule(*parameter.evaluate(context))]
            elif isinstance(parameter, ParameterFile):
                arguments += self._file_argument(parameter.evaluate(context))
            else:
                values = evaluate_parameters(context, parameter)
                key = self.node_name if self._is_fully_named else '/**'
                text = yaml.safe_dump({key: {'ros__parameters': values}})
                path = write_temporary_parameter_file(context, text)
                arguments += ['--params-file', str(path)]
        return arguments

    def _file_argument(self, path: Path) -> list[str]:
        if path.is_file():
            return ['--params-file', str(path)]
        launch_logging.get_logger('launch').warning(f'Parameter file path is not a file: {path}')
        return []

    def _remapping_rules(self, context: LaunchContext) -> list[tuple[str, str]]:
        own = [
            (perform_substitutions(context, src), perform_substitutions(context, dst))
            for src, dst in self._remappings
        ]
        return [*context.launch_configurations.get('ros_remaps', ()), *own]

    def _warn_of_namesake(self, context: LaunchContext) -> None:
        if not self._is_fully_named:
            return
        counts = context.get_locals_as_dict().get('unique_ros_node_names', {})
        counts[self.node_name] = counts.get(self.node_name, 0) + 1
        context.extend_globals({'unique_ros_node_names': counts})
        if counts[self.node_name] > 1:
            launch_logging.get_logger('launch').warning(
                f'there are now at least {counts[self.node_name]} nodes with the name '
                f'{self.node_name} created within this launch context'
            )


def _normalize_parameter(item: Any) -> Mapping[Any, Any] | Parameter | ParameterFile:
    if isinstance(item, (Mapping, Parameter, ParameterFile)):
        return item
    if isinstance(item, (str, Path, Substitution, list, tuple)):
        return ParameterFile(item)
    raise TypeError(
        f'Node: a parameter must be a dict, a path, a ParameterFile or a Parameter, got {item!r}'
    )


def _parameter_rule(name: str, value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20)
    return f'{name}:={text.removesuffix(chr(10)).removesuffix("...").strip()}'
