"""What the learner's bench measures."""
