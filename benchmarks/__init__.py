"""subbyte beside its peers: `python -m benchmarks` runs them interleaved in one process and prints the table."""
