"""A MuJoCo AgiBot G1 with grocery tasks and a scripted operator, in process or as a robot on ROS 2 topics."""

from lwd_sim.rendering.gl_backend import select_gl_backend

select_gl_backend()
