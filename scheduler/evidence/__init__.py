"""Bytes and hashes of the posting log."""
