"""LeRobotDataset v3.0: parquet, mp4 and meta, written and read without LeRobot itself."""
