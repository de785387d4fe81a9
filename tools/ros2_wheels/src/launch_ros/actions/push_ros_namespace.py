"""Pushes a namespace."""

from __future__ import annotations

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from launch_ros.names import make_namespace_absolute, prefix_namespace, validate_namespace


class PushRosNamespace(Action):
    """Puts nodes that follow below a namespace, until the end of the scoped group."""

    def __init__(
        self, namespace: SomeSubstitutionsType, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self._namespace = normalize_to_list_of_substitutions(namespace)

    @property
    def namespace(self) -> list[Substitution]:
        """The namespace."""
        return self._namespace

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Push it."""
        pushed = perform_substitutions(context, self._namespace)
        previous = context.launch_configurations.get('ros_namespace')
        namespace = make_namespace_absolute(prefix_namespace(previous, pushed)) or '/'
        validate_namespace(namespace)
        context.launch_configurations['ros_namespace'] = namespace
        return None


PushROSNamespace = PushRosNamespace
