"""Robots that only take weights, as processes of their own, and a learner that publishes to them."""
