"""Tests of scheduler/transport: real sockets on 127.0.0.1, servers that misbehave on purpose."""
