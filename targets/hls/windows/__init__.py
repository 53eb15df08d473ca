"""Actors that look at several pixels: sliding windows, pools over windows and frames, nearest neighbours."""
