"""QAM and DIVL + QAM on OGBench's manipulation tasks, with data made locally by its plan oracles.

``collect`` makes data, ``train`` trains and evaluates, ``report`` draws curves and writes the table of
docs/benchmarks.md. Needs ``pip install -r requirements/ogbench.lock``; reading data and sampling batches does not.
"""
