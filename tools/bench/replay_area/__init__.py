"""Benchmarks of bags, replay and sampling; `tools/bench/replay.py` runs them."""
