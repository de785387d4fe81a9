"""Plain rosbag2 bags, MCAP or SQLite, recorded by anybody."""
