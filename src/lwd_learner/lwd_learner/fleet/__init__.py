"""The fleet at a glance: a live table, JSON, and metrics for Prometheus. Listens only; commands no robot."""
