"""Parse, call one service, print."""
