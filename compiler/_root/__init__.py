"""subbyte: ahead-of-time compilation of quantized neural networks."""
