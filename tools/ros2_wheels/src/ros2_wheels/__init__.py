"""The ros2 command for machines that have ROS 2 from wheels."""
