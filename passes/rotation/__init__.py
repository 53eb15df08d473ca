"""Rotations of features: orthogonal matrices, and the streams of a transformer that they may be put into."""
