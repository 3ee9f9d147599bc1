"""Launchday: a campaign scheduler that publishes approved posts once, on time, and proves it."""

__version__ = "0.1.0"
