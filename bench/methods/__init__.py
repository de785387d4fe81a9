"""Every method on the simulator's tasks, from one offline buffer per task.

``python -m bench.methods.run`` makes the data, trains, lets robots act with a scripted operator beside them, and
evaluates; ``python -m bench.methods.report`` writes the tables and the picture of docs/benchmarks_methods.md. Updates
are those of ``train``: a method is an ``--algorithm``, an ablation a flag.
"""
