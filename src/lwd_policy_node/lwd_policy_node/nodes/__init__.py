"""Thin ROS nodes of the robot: parameters, topics and services around the cores beside them."""
