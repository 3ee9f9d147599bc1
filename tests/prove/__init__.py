"""The proofs: each section is a module with `run`, and has a small suite beside it."""
