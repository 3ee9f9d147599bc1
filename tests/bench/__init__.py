"""The benchmark: how soon after T0 the first byte of each delivery arrives. `python -m tests.bench`."""
