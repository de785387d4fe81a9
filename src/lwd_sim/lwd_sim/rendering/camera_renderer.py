"""Render all of a robot's cameras in one pass: one scene update, one picture buffer, one read-back."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from lwd_sim.rendering.gl_backend import make_gl_context

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """One camera of the model and the size of its picture, px."""

    camera: str
    width: int
    height: int


class CameraRenderer:
    """Draws the given views side by side into one off-screen buffer and cuts the pictures out of it.

    MuJoCo's own ``Renderer`` gathers the geometry and reads back once per camera; at 64 px that is half the time.
    """

    def __init__(self, model: mujoco.MjModel, views: Sequence[View]) -> None:
        """Make the OpenGL context; ``model`` may change its colours, lights and sizes later, not its structure.

        Raises:
            RenderingUnavailableError: neither EGL nor OSMesa works here.
        """
        self._model = model
        self._views = tuple(views)
        self._width = sum(view.width for view in views)
        self._height = max(view.height for view in views)
        self._context = make_gl_context(self._width, self._height)
        self._context.make_current()
        model.vis.global_.offwidth, model.vis.global_.offheight = self._width, self._height
        self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._mjr)
        self._scene = mujoco.MjvScene(model, maxgeom=400)
        self._option = mujoco.MjvOption()
        self._cameras = []
        for view in views:
            camera = mujoco.MjvCamera()
            camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
            camera.fixedcamid = model.camera(view.camera).id
            self._cameras.append(camera)
        self._free = weakref.finalize(self, _free_context, self._context, self._mjr)
        self._free.atexit = False
        atexit.register(self._free)  # before mujoco's own hook, which takes the display away
        self._pixels = np.empty((self._height, self._width, 3), dtype=np.uint8)

    def render(self, data: mujoco.MjData) -> dict[str, Image]:
        """Pictures by camera name, uint8 RGB (height, width, 3). Kinematics of ``data`` must be up to date."""
        mujoco.mj_camlight(self._model, data)
        self._context.make_current()
        left = 0
        for index, (view, camera) in enumerate(zip(self._views, self._cameras, strict=True)):
            if index == 0:
                mujoco.mjv_updateScene(
                    self._model,
                    data,
                    self._option,
                    None,
                    camera,
                    mujoco.mjtCatBit.mjCAT_ALL,
                    self._scene,
                )
            else:
                mujoco.mjv_updateCamera(self._model, data, camera, self._scene)
            rectangle = mujoco.MjrRect(left, 0, view.width, view.height)
            mujoco.mjr_render(rectangle, self._scene, self._mjr)
            left += view.width
        whole = mujoco.MjrRect(0, 0, self._width, self._height)
        mujoco.mjr_readPixels(self._pixels, None, whole, self._mjr)
        images, left = {}, 0
        for view in self._views:
            cut = self._pixels[: view.height, left : left + view.width]
            images[view.camera] = np.ascontiguousarray(cut[::-1])
            left += view.width
        return images

    def close(self) -> None:
        """Free the OpenGL context; rendering afterwards is an error."""
        self._free()


def _free_context(context: Any, mjr: mujoco.MjrContext) -> None:
    context.make_current()
    mjr.free()
    context.free()
