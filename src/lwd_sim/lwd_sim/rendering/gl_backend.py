"""Choose how MuJoCo renders without a screen.

EGL and OSMesa are equally fast on a CPU; a machine may have either, or none (then worlds run with ``render=False``).
``lwd_sim`` calls :func:`select_gl_backend` when it is imported, so that MuJoCo, which looks for a screen unless
``MUJOCO_GL`` says otherwise, does not complain; :func:`make_gl_context` does not depend on who was imported first.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

BACKENDS = ('egl', 'osmesa')  # in the order of preference
_DISABLED = ('disable', 'disabled', 'off', 'false', '0')  # what MuJoCo takes for none
_EGL_PLATFORM_DEVICE = 0x313F
_REMEDY = (
    'no OpenGL without a screen here: install libegl1 and libgl1-mesa-dri (or libosmesa6), '
    'or go without pictures: World(render=False), sim_node -p render:=false'
)
_OSMESA_LIBRARIES = ('libOSMesa.so', 'libOSMesa.so.8', 'libOSMesa.so.6')


def backend_works(backend: str) -> bool:
    """Whether one of `BACKENDS` works here; where it does not, MuJoCo cannot even be imported with it."""
    return {'egl': _egl_works, 'osmesa': _osmesa_works}[backend]()


def select_gl_backend() -> str:
    """Set ``MUJOCO_GL`` to ``egl`` or ``osmesa``, whichever works here; return it.

    A value already in the environment is respected. Where neither works the answer is ``disable``: physics runs,
    rendering raises. Also keeps Mesa's software rasteriser on one thread, which is faster at these sizes.
    """
    os.environ.setdefault('LP_NUM_THREADS', '0')
    chosen = os.environ.get('MUJOCO_GL', '').lower()
    if chosen or not sys.platform.startswith('linux'):
        return chosen
    chosen = next((backend for backend in BACKENDS if backend_works(backend)), 'disable')
    os.environ['MUJOCO_GL'] = chosen
    return chosen


class RenderingUnavailableError(RuntimeError):
    """No OpenGL context can be made here; the message says what to install."""


def check_opengl() -> None:
    """Raise RenderingUnavailableError where there is no OpenGL, or it is switched off; no context is made."""
    if select_gl_backend() in _DISABLED:
        raise RenderingUnavailableError(_REMEDY)


def make_gl_context(width: int, height: int) -> Any:
    """An off-screen OpenGL context with ``make_current`` and ``free``, of at least the given size, px.

    Raises:
        RenderingUnavailableError: neither EGL nor OSMesa works here.
    """
    check_opengl()
    backend = select_gl_backend()
    try:
        if backend == 'egl':
            from mujoco.egl import GLContext
        elif backend == 'osmesa':
            from mujoco.osmesa import GLContext
        else:
            from mujoco import GLContext
        return GLContext(width, height)
    except (ImportError, AttributeError) as error:
        raise RenderingUnavailableError(f'MUJOCO_GL={backend}: {error}; {_REMEDY}') from error


def _egl_works() -> bool:
    """Whether some EGL device initialises, by the same calls that MuJoCo will make."""
    try:
        egl = ctypes.CDLL('libEGL.so.1')
        ctypes.CDLL('libOpenGL.so.0')
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query_address = egl.eglGetProcAddress(b'eglQueryDevicesEXT')
    display_address = egl.eglGetProcAddress(b'eglGetPlatformDisplayEXT')
    if not query_address or not display_address:
        return False
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, integer, ctypes.POINTER(pointer), ctypes.POINTER(integer)
    )(query_address)
    get_display = ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(display_address)
    devices, count = (pointer * 10)(), integer()
    if not query(10, devices, ctypes.byref(count)):
        return False
    egl.eglInitialize.argtypes = [pointer, pointer, pointer]
    egl.eglTerminate.argtypes = [pointer]
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            egl.eglTerminate(display)
            return True
    return False


def _osmesa_works() -> bool:
    for name in _OSMESA_LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False
