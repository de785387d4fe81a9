"""The soak: many light robots, real DDS, a real store, real ingest, a publishing learner, and faults from a seed."""
