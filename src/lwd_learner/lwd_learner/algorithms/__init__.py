"""The mathematics of learning: one readable file per algorithm, symbols as in the papers, no data
handling.
"""
