"""What the launch files put around one robot's nodes."""
