"""Which layer gets how many bits: an integer program over tables of losses and costs. Numbers only, no graphs."""
