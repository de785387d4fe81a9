"""A table, bins, coloured items and lights: the pieces that table-top tasks are made of, and how they vary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import FURNITURE_CONTACT, ITEM_CONTACT, NO_CONTACT
from lwd_sim.tasks.base import Shift
from lwd_sim.tasks.scene import Scene

TABLE_TOP_Z = 0.84  # m, before randomisation
TABLE_X = 1.02  # m, centre of the top
TABLE_EDGE_X = 0.78  # m, its front edge
BIN_INNER_HALF = 0.068  # m
BIN_WALL_HEIGHT = 0.045  # m


@dataclass(frozen=True, slots=True)
class ItemKind:
    """A kind of item: words for it, colour, shape, half width and half height in m, mass in kg."""

    name: str  # body name
    words: str  # in instructions
    rgba: tuple[float, float, float]
    shape: str  # cylinder or box
    half_width: float
    half_height: float
    mass: float = 0.12

    @property
    def half_sizes(self) -> npt.NDArray[np.float64]:
        """Half extents along the item's own axes, (3,) m."""
        return np.array([self.half_width, self.half_width, self.half_height])


def table_xml() -> str:
    """A table whose body frame is the centre of its top."""
    return (
        f'<body name="table" pos="{TABLE_X} 0 {TABLE_TOP_Z}">'
        f'<geom name="table" type="box" size="0.24 0.62 0.02" pos="0 0 -0.02" rgba="0.72 0.62 0.50 1" '
        f'{FURNITURE_CONTACT}/>'
        f'<geom type="box" size="0.04 0.5 0.4" pos="0.1 0 -0.44" rgba="0.4 0.38 0.36 1" {NO_CONTACT}/></body>'
        f'<geom name="floor" type="plane" size="3 3 0.1" rgba="0.45 0.47 0.50 1" {FURNITURE_CONTACT}/>'
        f'<geom name="wall" type="box" size="0.05 3 1.5" pos="2.2 0 1.5" rgba="0.75 0.78 0.80 1" {NO_CONTACT}/>'
        '<light name="lamp" directional="true" pos="0 0 3" dir="0.3 0.2 -1" castshadow="false" '
        'diffuse="0.55 0.55 0.55" specular="0 0 0"/>'
    )


def bin_xml(name: str, rgba: str) -> str:
    """An open bin whose body frame is the centre of its floor; place it with :func:`place_furniture`."""
    inner, height, thick = BIN_INNER_HALF, BIN_WALL_HEIGHT / 2, 0.004
    walls = ''.join(
        f'<geom type="box" size="{sx} {sy} {height}" pos="{x} {y} {height}" rgba="{rgba}" {FURNITURE_CONTACT}/>'
        for x, y, sx, sy in (
            (inner + thick, 0, thick, inner + 2 * thick),
            (-inner - thick, 0, thick, inner + 2 * thick),
            (0, inner + thick, inner, thick),
            (0, -inner - thick, inner, thick),
        )
    )
    floor = (
        f'<geom name="{name}_floor" type="box" size="{inner} {inner} 0.002" pos="0 0 0.002" rgba="{rgba}" '
        f'{FURNITURE_CONTACT}/>'
    )
    return f'<body name="{name}" pos="0.92 0.33 {TABLE_TOP_Z}">{floor}{walls}</body>'


def item_xml(kind: ItemKind) -> str:
    """A free item standing on its end."""
    size = f'{kind.half_width} {kind.half_height}'
    if kind.shape == 'box':
        size = f'{kind.half_width} {kind.half_width} {kind.half_height}'
    red, green, blue = kind.rgba
    cap = ''
    if kind.shape == 'cylinder':
        cap = (
            f'<geom type="cylinder" size="{0.6 * kind.half_width} 0.001" pos="0 0 {kind.half_height}" mass="0" '
            f'rgba="0.9 0.9 0.9 1" {NO_CONTACT}/>'
        )
    return (
        f'<body name="{kind.name}" pos="0.92 0 {TABLE_TOP_Z + kind.half_height}">'
        f'<joint name="{kind.name}_free" type="free" damping="0.0005"/>'
        f'<geom name="{kind.name}" type="{kind.shape}" size="{size}" mass="{kind.mass}" '
        f'friction="0.9 0.02 0.002" rgba="{red} {green} {blue} 1" {ITEM_CONTACT}/>{cap}</body>'
    )


def place_furniture(scene: Scene, name: str, x: float, y: float, z: float) -> None:
    """Move a fixed body (table, bin) by changing the model."""
    scene.model.body(name).pos[:] = x, y, z


def vary_looks(
    scene: Scene, rng: np.random.Generator, shift: Shift, items: tuple[ItemKind, ...]
) -> None:
    """Change table, wall and item colours, the lamp and the head camera a little; more at ``shift``."""
    wide = shift == 'shift'
    model = scene.model
    spread = 0.14 if wide else 0.05
    for name in ('table', 'wall', 'floor'):
        colour = model.geom(name).rgba
        colour[:3] = np.clip(
            colour[:3] + rng.uniform(-spread, spread) + rng.uniform(-0.03, 0.03, 3), 0.05, 0.95
        )
    for kind in items:
        colour = model.geom(kind.name).rgba
        colour[:3] = np.clip(
            colour[:3] + rng.uniform(-1, 1, 3) * (0.12 if wide else 0.05), 0.02, 0.98
        )
    lamp = model.light('lamp')
    lamp.diffuse[:] = rng.uniform(0.35, 0.8) if wide else rng.uniform(0.48, 0.62)
    lamp.dir[:] = (
        (*rng.uniform(-0.6, 0.6, 2), -1.0) if wide else (*rng.uniform(-0.3, 0.3, 2), -1.0)
    )
    lamp.dir[:] /= np.linalg.norm(lamp.dir)
    model.camera('head').pos[:] += rng.normal(size=3) * (0.006 if wide else 0.001)


def table_height(rng: np.random.Generator, shift: Shift) -> float:
    """Height of the table top, m."""
    return TABLE_TOP_Z + float(
        rng.uniform(-0.03, 0.03) if shift == 'shift' else rng.uniform(-0.012, 0.012)
    )


def hand_on_table(scene: Scene, table_z: float, clear_m: float = 0.012) -> bool:
    """Whether a hand is pressed on the table: its tool centre less than `clear_m` above a top at `table_z`, m."""
    return any(
        tcp[0] > TABLE_EDGE_X and tcp[2] < table_z + clear_m
        for tcp in (scene.tcp('l'), scene.tcp('r'))
    )
