"""Launches with real processes, real SQLite and the simulated platforms."""
