"""What `recognize_fake_quantize` is made of: chains of float operations around a rounding, their grids, weights."""
