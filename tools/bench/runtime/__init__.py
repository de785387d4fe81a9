"""One robot's runtime as real processes over real DDS, and what is measured on it."""
