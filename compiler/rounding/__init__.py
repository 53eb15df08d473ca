"""Rounding and compensation: float weight matrices to codes of few bits, by NumPy on matrices, without graphs.

`types` says what weights may become and what they became, `registry` has every method by its name.
"""
