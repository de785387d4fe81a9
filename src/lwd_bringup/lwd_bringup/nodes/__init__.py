"""ROS side of the demo."""
