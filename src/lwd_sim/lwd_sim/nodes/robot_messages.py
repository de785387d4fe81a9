"""A world's state as the messages of a real robot; shared by ``sim_node`` (topics) and ``make_data`` (bags)."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
import simplejpeg
from builtin_interfaces.msg import Time
from lwd_policy_node.profile import RobotProfile
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import SimState
from lwd_sim.world import Observation, World

JPEG_QUALITY = 90


def stamp_of(nanoseconds: int) -> Time:
    """A stamp from ns of the robot's clock."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def doubles(values: npt.NDArray[np.float64]) -> array[float]:
    """A float64[] field in one copy (rclpy checks lists element by element, arrays not)."""
    return array('d', values.tobytes())


class RobotMessages:
    """Fills the same message objects again at every tick: names are set once, numbers every time."""

    def __init__(self, profile: RobotProfile) -> None:
        """Joint and camera names come from ``profile``."""
        self._joints = JointState(name=list(profile.state_names))
        self._joints.header.frame_id = 'base_link'
        self._sim = SimState()
        self._sim.header.frame_id = 'base_link'
        self._images = {camera.name: CompressedImage(format='jpeg') for camera in profile.cameras}
        for name, image in self._images.items():
            image.header.frame_id = f'{name}_camera'

    def joint_state(self, observation: Observation, stamp: Time) -> JointState:
        """Measured positions and velocities, in the profile's state order."""
        self._joints.header.stamp = stamp
        positions, velocities = np.split(observation.state.astype(np.float64), 2)
        self._joints.position, self._joints.velocity = doubles(positions), doubles(velocities)
        return self._joints

    def sim_state(self, world: World, seed: int, stamp: Time) -> SimState:
        """The simulator's truth."""
        message, data = self._sim, world.scene.data
        message.header.stamp = stamp
        message.tick = world.tick
        if message.task != world.task.name or message.seed != seed or not message.label_names:
            message.task = world.task.name
            message.seed = seed
            message.label_names = list(world.label_names)
        message.qpos = doubles(data.qpos)
        message.qvel = doubles(data.qvel)
        message.ctrl = doubles(data.ctrl)
        message.label = array('f', world.label().tobytes())
        message.success = world.success
        message.progress = world.progress
        message.score = world.score
        return message

    def image(self, camera: str, pixels: npt.NDArray[np.uint8], stamp: Time) -> CompressedImage:
        """One picture as JPEG."""
        message = self._images[camera]
        message.header.stamp = stamp
        jpeg = simplejpeg.encode_jpeg(pixels, quality=JPEG_QUALITY, colorspace='RGB')
        message.data = array('B', jpeg)
        return message
