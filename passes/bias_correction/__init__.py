"""Correcting the mean of what layers with rounded weights make."""
