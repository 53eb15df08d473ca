"""Networks with random weights, built by script: what is timed is the shape of the work, not what was learned."""
