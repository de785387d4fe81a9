"""Benchmarks against published results of learning; speed is measured in tools/bench."""
