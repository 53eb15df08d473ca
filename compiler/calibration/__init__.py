"""Calibration: samples run through a float network, what is kept of them, and the grids of activations from that.

`data.Data` is what passes are given; `observers` says what is kept, `ranges` makes grids of it.
"""
