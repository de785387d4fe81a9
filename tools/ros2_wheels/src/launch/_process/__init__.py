"""Child processes of a launch: their group, their output, their end."""
