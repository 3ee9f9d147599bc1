"""One file per platform, and the simulated platforms."""
