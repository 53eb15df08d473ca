"""Where a float network is quantized, and how rounded matrices become the weights of its layers."""
