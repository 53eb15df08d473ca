"""What `choose_layout` is made of: orders of axes in memory, and the cut that places the repacks."""
