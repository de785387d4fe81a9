"""`ros2 run lwd_recorder bag`: one file a verb."""
