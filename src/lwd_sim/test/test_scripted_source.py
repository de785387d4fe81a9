"""The scripted operator works on the scene that the simulator shows, at the level it shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rclpy
from lwd_policy_node.profile import RobotProfile
from lwd_sim.nodes.robot_messages import RobotMessages, stamp_of
from lwd_sim.nodes.scripted_source import ScriptedOperatorSource
from lwd_sim.tasks import SHIFTS, TASKS, Shift
from lwd_sim.world import World
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from lwd_msgs.msg import SimState

pytestmark = pytest.mark.launch
Make = Callable[..., ScriptedOperatorSource]


@pytest.fixture
def make_source() -> Iterator[Make]:
    """A source on a node of its own, with the given parameters."""
    context = Context()
    rclpy.init(context=context, domain_id=115)
    nodes = []

    def make(**parameters: str) -> ScriptedOperatorSource:
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        node = Node(f'teleop_{len(nodes)}', context=context, parameter_overrides=given)
        node.declare_parameter('profile', 'g1_laptop')
        nodes.append(node)
        return ScriptedOperatorSource(node)

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def shown(world: World, profile: RobotProfile) -> Callable[[str, int, Shift], SimState]:
    """What the simulator says of a scene."""
    messages = RobotMessages(profile)

    def state_of(task: str, seed: int, shift: Shift) -> SimState:
        world.reset(task, seed, shift)
        return messages.sim_state(world, seed, stamp_of(1_000_000_000))

    return state_of


@pytest.mark.parametrize('shift', SHIFTS)
def test_a_level_that_is_given_is_the_one_of_the_shadow(
    make_source: Make, shown: Callable[..., SimState], shift: Shift
) -> None:
    """Nothing in a cocktail's labels tells its levels apart, yet its table stands elsewhere."""
    source = make_source(shift=shift)
    for seed in (3, 4):
        assert source._shadow(shown('cocktail', seed, shift))
        assert source._scene == ('cocktail', seed, shift)


def test_a_level_that_cannot_be_told_is_not_guessed(
    make_source: Make, shown: Callable[..., SimState]
) -> None:
    source = make_source()
    for shift in SHIFTS:
        assert not source._shadow(shown('cocktail', 3, shift))


@pytest.mark.parametrize('task', sorted(set(TASKS) - {'cocktail'}))
def test_labels_tell_the_levels_apart(
    make_source: Make, shown: Callable[..., SimState], task: str
) -> None:
    source = make_source()
    for shift in SHIFTS:
        assert source._levels(shown(task, 3, shift)) == [shift]


@pytest.mark.parametrize('given', ['', *SHIFTS])
def test_a_level_that_shows_in_the_labels_is_found_whatever_is_given(
    make_source: Make, shown: Callable[..., SimState], given: str
) -> None:
    """A reset may name its own; and the same seed may come again at the other level."""
    source = make_source(shift=given)
    for shift in (*SHIFTS, *SHIFTS):
        assert source._shadow(shown('restock', 3, shift))
        assert source._scene == ('restock', 3, shift)
