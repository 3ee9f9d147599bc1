"""The simulator: the production code under a fake clock, against platforms and people who do anything."""
