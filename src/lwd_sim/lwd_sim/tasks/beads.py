"""Liquids and leaves as a few small spheres, and the open vessels that they are poured from and into.

A bead slides but does not turn (3 degrees of freedom, not 6) and has no friction: it flows like a liquid and costs
half. A little damping lets what was spilt come to rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import ITEM_CONTACT, NO_CONTACT
from lwd_sim.tasks.base import Shift
from lwd_sim.tasks.scene import Array, Scene

BEAD_RADIUS_M = 0.009
_BEAD_MASS = 0.003  # kg
_BEAD_DAMPING = 0.03  # N*s/m: it flows like honey, and what was spilt soon stops
_WALL_M = 0.005  # thickness
_GYRATION_M = 0.055  # radius
HANDLE_WIDTH_M = 0.024  # between the pads
_BAR_RGBA = '0.16 0.16 0.18 1'


@dataclass(frozen=True, slots=True)
class Vessel:
    """An open vessel with ``sides`` flat walls. Its body frame is the centre of its underside, z up; m, kg.

    A vessel with a handle has an upright bar on its near side (-x), ``reach_m`` from the axis.
    """

    name: str  # body name
    words: str  # in instructions
    rgba: tuple[float, float, float]
    inner: float  # from the axis to a wall
    height: float  # outside
    sides: int = 6
    handle: bool = False
    handle_out: float = 0.022  # from the wall to the middle of the bar
    second_turn: float = 0.0  # a second handle, turned by so much (rad) from the first; 0: none
    grip_turn: float = 0.0  # rad, to the handle that `grip` is at: 0 or `second_turn`
    grip_z: float = 0.0  # height where a hand takes it; 0: a little above the middle
    mass: float = 0.12

    @property
    def width(self) -> float:
        """Outside, between opposite walls, m."""
        return 2 * (self.inner + _WALL_M)

    @property
    def reach_m(self) -> float:
        """From the axis to the middle of the handle, m."""
        return self.inner + _WALL_M + self.handle_out

    @property
    def grip(self) -> Array:
        """Where a hand takes it, (3,) m in its frame: the handle, or the body."""
        out = -self.reach_m if self.handle else 0.0
        x, y = out * np.cos(self.grip_turn), out * np.sin(self.grip_turn)
        return np.array([x, y, self.grip_z or 0.55 * self.height])

    @property
    def grip_width(self) -> float:
        """Between the pads, m."""
        return HANDLE_WIDTH_M if self.handle else self.width


def cup_xml(vessel: Vessel, *, free: bool = True) -> str:
    """The body of a vessel; ``free`` with the joint ``<name>_free``, else furniture that does not move."""
    inner, half, thick = vessel.inner, vessel.height / 2, _WALL_M / 2
    rgba = ' '.join(str(c) for c in vessel.rgba) + ' 1'
    common = f'rgba="{rgba}" friction="0.9 0.02 0.002" {ITEM_CONTACT}'
    long = (inner + _WALL_M) * np.tan(np.pi / vessel.sides)
    walls = ''
    for k in range(vessel.sides):
        turn = (
            2 * np.pi * (k + 0.5) / vessel.sides
            if vessel.sides % 4
            else 2 * np.pi * k / vessel.sides
        )
        x, y = (inner + thick) * np.cos(turn), (inner + thick) * np.sin(turn)
        # walls end a little above the underside: the floor alone carries, with four contacts
        walls += (
            f'<geom type="box" size="{thick} {long:.5f} {half - 0.001}" pos="{x:.5f} {y:.5f} {half + 0.001}" '
            f'euler="0 0 {turn:.5f}" {common}/>'
        )
    flat = (inner + _WALL_M) * (1.0 if vessel.sides == 4 else 0.75)
    floor = (
        f'<geom name="{vessel.name}" type="box" size="{flat:.5f} {flat:.5f} {thick}" pos="0 0 {thick}" {common}/>'
        f'<geom type="cylinder" size="{inner:.5f} {thick}" pos="0 0 {thick + 0.001}" rgba="{rgba}" '
        f'{NO_CONTACT}/>'
    )
    bars = ''
    if vessel.handle:
        turns = {0.0, vessel.second_turn}
        bars = ''.join(_handle_xml(vessel, turn) for turn in sorted(turns))
    # A light shell that tumbles gains energy under implicitfast; one with the same inertia about all axes, not too
    # small, does not. Damping lets one that was knocked settle.
    turning = vessel.mass * _GYRATION_M**2
    inertial = (
        f'<inertial pos="0 0 {0.45 * vessel.height}" mass="{vessel.mass}" '
        f'diaginertia="{turning} {turning} {turning}"/>'
    )
    joint = f'<joint name="{vessel.name}_free" type="free" damping="0.004"/>' if free else ''
    return f'<body name="{vessel.name}">{joint}{inertial}{floor}{walls}{bars}</body>'


def _handle_xml(vessel: Vessel, turn: float) -> str:
    """An upright bar, and the bridge to it, turned by ``turn`` rad about the vessel's axis."""
    height, half = vessel.grip[2], 0.5 * (vessel.reach_m - vessel.inner)
    bridge_z = min(height, vessel.height - 0.006)
    cos, sin = -np.cos(turn), -np.sin(turn)
    bar, bridge = vessel.reach_m, vessel.reach_m - half
    return (
        f'<geom type="box" size="0.007 {HANDLE_WIDTH_M / 2} 0.028" pos="{bar * cos} {bar * sin} {height}" '
        f'euler="0 0 {turn}" friction="0.9 0.02 0.002" rgba="{_BAR_RGBA}" {ITEM_CONTACT}/>'
        f'<geom type="box" size="{half} 0.006 0.006" pos="{bridge * cos} {bridge * sin} {bridge_z}" '
        f'euler="0 0 {turn}" rgba="{_BAR_RGBA}" {NO_CONTACT}/>'
    )


def vary_vessel(scene: Scene, rng: np.random.Generator, shift: Shift, vessel: Vessel) -> None:
    """Change a vessel's colour and mass a little; more at ``shift``."""
    wide = shift == 'shift'
    model = scene.model
    body = model.body(vessel.name)
    colours = model.geom_rgba[body.geomadr[0] : body.geomadr[0] + body.geomnum[0], :3]
    colours += rng.uniform(-1, 1, 3) * (0.12 if wide else 0.05)
    np.clip(colours, 0.02, 0.98, out=colours)
    heavier = rng.uniform(0.7, 1.4) if wide else rng.uniform(0.9, 1.15)
    body.mass[:] *= heavier
    body.inertia[:] *= heavier


def beads_xml(name: str, count: int, rgba: str) -> str:
    """``count`` beads called ``<name>0`` and so on; place them with :meth:`Beads.fill`."""
    return ''.join(
        f'<body name="{name}{i}" pos="0 0 0">'
        + ''.join(
            f'<joint name="{name}{i}_{axis}" type="slide" axis="{way}" damping="{_BEAD_DAMPING}"/>'
            for axis, way in (('x', '1 0 0'), ('y', '0 1 0'), ('z', '0 0 1'))
        )
        + f'<geom name="{name}{i}" type="sphere" size="{BEAD_RADIUS_M}" mass="{_BEAD_MASS}" condim="1" '
        f'priority="2" rgba="{rgba}" {ITEM_CONTACT}/></body>'
        for i in range(count)
    )


class Beads:
    """Where the beads of one name are."""

    def __init__(self, name: str, count: int) -> None:
        self._name, self.count = name, count
        self._columns: npt.NDArray[np.int64] | None = None

    def positions(self, scene: Scene) -> Array:
        """Centres, (count, 3) m in the base frame."""
        at: Array = scene.data.qpos[self.columns(scene)]
        return at

    def fill(self, scene: Scene, vessel: Vessel, inside: int | None = None) -> None:
        """Put all beads (or the first ``inside``) at rest above the vessel's floor, three to a layer."""
        foot, axes = scene.position(vessel.name), scene.axes(vessel.name)
        spread = min(1.2 * BEAD_RADIUS_M, vessel.inner - BEAD_RADIUS_M)
        for i, columns in enumerate(self.columns(scene)[:inside]):
            layer, turn = divmod(i, 3)
            angle = 2 * np.pi * (turn / 3 + layer / 6)
            z = _WALL_M + BEAD_RADIUS_M * (1.1 + 1.9 * layer)
            local = np.array([spread * np.cos(angle), spread * np.sin(angle), z])
            scene.data.qpos[columns] = foot + axes @ local

    def inside(self, scene: Scene, vessel: Vessel) -> int:
        """How many are in a vessel, however it stands or is held."""
        foot, axes = scene.position(vessel.name), scene.axes(vessel.name)
        local = (self.positions(scene) - foot) @ axes
        corner = vessel.inner / np.cos(np.pi / vessel.sides)
        within = np.hypot(local[:, 0], local[:, 1]) < corner
        return int(np.sum(within & (local[:, 2] > 0.0) & (local[:, 2] < vessel.height)))

    def columns(self, scene: Scene) -> npt.NDArray[np.int64]:
        """Where each bead's x, y, z stand in qpos, (count, 3)."""
        if self._columns is None:
            first = [scene.model.joint(f'{self._name}{i}_x').qposadr[0] for i in range(self.count)]
            self._columns = np.asarray(first, dtype=np.int64)[:, None] + np.arange(3)
        return self._columns
