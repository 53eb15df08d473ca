"""What kernel tables of several targets share: geometry of stored tensors, packed constants, and common C headers."""
