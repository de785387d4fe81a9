"""The simulator's messages: what sim_node publishes and make_data writes into bags, made in one place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg
from builtin_interfaces.msg import Time
from lwd_policy_node.profile import RobotProfile
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import SimState
from lwd_sim.world import World

JPEG_QUALITY = 90
NANOSECONDS = 1_000_000_000


def time_message(stamp_ns: int) -> Time:
    """ROS time of integer nanoseconds."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def joint_state_message(
    profile: RobotProfile, state: npt.NDArray[np.float32], stamp_ns: int
) -> JointState:
    """Measured positions (S,), rad, m and gripper fractions, in the profile's order."""
    message = JointState(
        name=list(profile.state_names), position=state.astype(np.float64).tolist()
    )
    message.header.stamp = time_message(stamp_ns)
    return message


def image_message(camera: str, image: npt.NDArray[np.uint8], stamp_ns: int) -> CompressedImage:
    """One JPEG of an RGB picture (h, w, 3)."""
    jpeg = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=JPEG_QUALITY, colorspace='RGB'
    )
    message = CompressedImage(format='jpeg', data=jpeg)
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = f'camera_{camera}'
    return message


def sim_state_message(world: World, task: str, seed: int, stamp_ns: int) -> SimState:
    """The simulator's truth now."""
    now = world.snapshot()
    message = SimState(
        task=task,
        seed=seed,
        tick=world.tick,
        qpos=now.qpos.tolist(),
        qvel=now.qvel.tolist(),
        ctrl=now.ctrl.tolist(),
        label=world.label().tolist(),
        label_names=list(world.label_names),
        success=bool(world.success),
        progress=float(world.progress),
    )
    message.header.stamp = time_message(stamp_ns)
    return message


def topic(robot_id: str, name: str) -> str:
    """Absolute topic name."""
    return f'/{robot_id}/{name}'
