"""Scaling the channels inside a float network without changing what it computes."""
