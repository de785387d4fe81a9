"""Benchmarks, one module an area; `make bench AREA=...` writes runs/bench/AREA.json."""
