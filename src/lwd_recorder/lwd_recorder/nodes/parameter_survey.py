"""Asks the nodes of a robot for all their parameters, without ever waiting for an answer.

A node that does not answer, or oddly, is named as one without an answer; nothing that it does stops the recorder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_PATIENCE_S = 5.0
_LEAST_PAUSE_S = 30.0


class ParameterSurvey:
    """One round at the start of an episode, if nodes have come or gone or the last round is half a minute old.

    A round lasts until all have answered, and 5 s at most.
    """

    def __init__(self, node: Node, done: Callable[[bytes], None]) -> None:
        """Prepare.

        Args:
            node: asks, and is described, too; nodes outside its namespace, the robot's, are not asked.
            done: called with the parameters of all nodes as YAML, in the layout of `ros2 param dump`.
        """
        self._node = node
        self._namespace = node.get_namespace().rstrip('/')
        self._done = done
        self._clients: list[Client] = []
        self._to_ask: dict[str, tuple[Client, Client]] = {}
        self._waiting: set[str] = set()
        self._asked: set[str] = set()
        self._found: dict[str, dict[str, Any]] = {}
        self._under_way = False
        self._begun_s = -_LEAST_PAUSE_S
        self._episode_id = ''

    def poll(self, episode_id: str) -> None:
        """Begin or end a round; call it at every beat.

        Args:
            episode_id: the episode under way; empty between episodes.
        """
        now_s = time.monotonic()
        if self._under_way:
            self._ask()
            if not self._waiting or now_s - self._begun_s > _PATIENCE_S:
                self._end()
        elif episode_id != self._episode_id:
            self._episode_id = episode_id
            others = self._others()
            if episode_id and (others != self._asked or now_s - self._begun_s > _LEAST_PAUSE_S):
                self._begun_s = now_s
                self._begin(others)

    def _others(self) -> set[str]:
        """Return the full names of the robot's other nodes."""
        own = self._node.get_fully_qualified_name()
        found = set()
        for name, namespace in self._node.get_node_names_and_namespaces():
            full = f'{namespace.rstrip("/")}/{name}'
            if full != own and f'{namespace}/'.startswith(f'{self._namespace}/'):
                found.add(full)
        return found

    def _begin(self, others: set[str]) -> None:
        self._found = {self._node.get_fully_qualified_name(): _parameters_of(self._node)}
        self._asked, self._waiting = others, set(others)
        self._to_ask = {
            full: (
                self._client(ListParameters, f'{full}/list_parameters'),
                self._client(GetParameters, f'{full}/get_parameters'),
            )
            for full in sorted(others)
        }
        self._under_way = True

    def _ask(self) -> None:
        """Ask the nodes whose services are there by now."""
        for full, (lister, getter) in list(self._to_ask.items()):
            if lister.service_is_ready() and getter.service_is_ready():
                del self._to_ask[full]
                asked = lister.call_async(ListParameters.Request())
                asked.add_done_callback(partial(self._on_names, full, getter))

    def _on_names(self, full: str, getter: Client, answer: Any) -> None:
        if getter not in self._clients:
            return  # the round has ended, and its clients with it
        try:
            names = list(answer.result().result.names)
            asked = getter.call_async(GetParameters.Request(names=names))
        except RuntimeError as error:  # rclpy's errors
            self._odd(full, f'{type(error).__name__}: {error}')
        else:
            asked.add_done_callback(partial(self._on_values, full, getter, names))

    def _on_values(self, full: str, getter: Client, names: list[str], answer: Any) -> None:
        if getter not in self._clients:
            return
        try:
            values = [parameter_value_to_python(value) for value in answer.result().values]
        except RuntimeError as error:
            self._odd(full, f'{type(error).__name__}: {error}')
            return
        if len(values) != len(names):  # rclcpp gives none where one was declared without a value
            self._odd(full, f'{len(values)} values for {len(names)} parameters')
            return
        self._found[full] = dict(zip(names, values, strict=True))
        # The next poll ends the round: not inside a client's own callback.
        self._waiting.discard(full)

    def _odd(self, full: str, reason: str) -> None:
        """Count a node as one without an answer, and say why."""
        self._node.get_logger().warning(f'no parameters from {full}: it answered with {reason}')
        self._waiting.discard(full)

    def _end(self) -> None:
        """Report what was found; who has not answered is named."""
        if self._waiting:
            names = ', '.join(sorted(self._waiting))
            self._node.get_logger().warning(f'no parameters in {_PATIENCE_S:.0f} s from {names}')
        document: dict[str, Any] = {
            full: {'ros__parameters': _plain(values)}
            for full, values in sorted(self._found.items())
        }
        for full in sorted(self._asked - self._found.keys()):
            document[full] = {'no_answer': True}
        self._under_way = False
        self._waiting.clear()
        self._to_ask.clear()
        for client in self._clients:
            self._node.destroy_client(client)
        self._clients.clear()
        self._done(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())

    def _client(self, kind: Any, name: str) -> Client:
        client = self._node.create_client(kind, name)
        self._clients.append(client)
        return client


def _parameters_of(node: Node) -> dict[str, Any]:
    names = sorted(node.list_parameters([], 0).names)
    return {parameter.name: parameter.value for parameter in node.get_parameters(names)}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values that YAML knows: arrays as lists, bytes as numbers."""
    plain = {}
    for name, value in sorted(values.items()):
        if isinstance(value, (bytes, bytearray)) or hasattr(value, 'tolist'):
            value = list(value)
        elif isinstance(value, (list, tuple)):
            value = [one[0] if isinstance(one, bytes) else one for one in value]
        plain[name] = value
    return plain
