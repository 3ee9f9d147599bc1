"""`python -m scheduler.publishers.simulated DIR [--faults FILE.json] [--parent-fd N]`: the process.

It serves one loopback port per platform until SIGTERM or SIGINT, or until the pipe N closes.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from scheduler.publishers.simulated import words
from scheduler.publishers.simulated.desk import Desk
from scheduler.publishers.simulated.faults import Script
from scheduler.publishers.simulated.http import Connection, Turns

BACKLOG = 8192


def main() -> int:
    """Parse, take the lock, serve. Exit codes: 0 ended, 2 usage, 75 somebody else serves this folder."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.publishers.simulated", description=__doc__)
    parser.add_argument("directory", type=Path, help="where ledger, lock and ready.json live")
    parser.add_argument("--faults", type=Path, help="JSON list of scripted faults")
    parser.add_argument("--parent-fd", type=int, help="end when this pipe closes")
    options = parser.parse_args()
    try:
        script = Script.parse(json.loads(options.faults.read_text())) if options.faults else Script()
    except (OSError, ValueError) as wrong:
        return _say(f"The faults cannot be used: {wrong}", 2)
    directory: Path = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = os.read(lock, 32).decode().strip() or "unknown"
        return _say(f"The simulated platforms already run on {directory} (pid {other}).", 75)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    (directory / "ready.json").unlink(missing_ok=True)  # of one that was killed
    words.x_length("é")  # loads its tables now: the first post must not wait for them
    _raise_limit()
    asyncio.run(serve(directory, script, options.parent_fd))
    return 0


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(sentence + "\n")
    return code


def _raise_limit() -> None:
    """Five thousand connections need as many descriptors; the hard limit is the most we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(directory: Path, script: Script, parent_fd: int | None) -> None:
    """Open the ports, say so in ready.json, serve until told to end."""
    desk, turns = Desk(directory, script), Turns()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if parent_fd is not None:
        loop.add_reader(parent_fd, ended.set)
    before, servers = _last_ports(directory), []
    for name, platform in desk.platforms.items():
        listener = _listen(before.get(name, 0))
        platform.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        servers.append(await loop.create_server(_factory(name, turns, desk), sock=listener, backlog=BACKLOG))
    # What was restored stays: the collector need not walk it in the middle of a volley.
    gc.collect()
    gc.freeze()
    addresses = {name: platform.address for name, platform in desk.platforms.items()}
    _write(directory / "ports.json", {name: int(at.rpartition(":")[2]) for name, at in addresses.items()})
    _write(directory / "ready.json", {"pid": os.getpid(), "servers": addresses})
    try:
        await ended.wait()
    finally:
        (directory / "ready.json").unlink(missing_ok=True)
        for server in servers:
            server.close()


def _factory(name: str, turns: Turns, desk: Desk) -> Callable[[], Connection]:
    return lambda: Connection(name, turns, desk.take)


def _listen(port: int) -> socket.socket:
    """The port of last time, so that stored addresses stay good; any free one where it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    return listener


def _last_ports(directory: Path) -> dict[str, int]:
    try:
        return dict(json.loads((directory / "ports.json").read_text()))
    except (OSError, ValueError):
        return {}


def _write(path: Path, value: object) -> None:
    """Whole or not at all: readers must never see half of it."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(value))
    os.replace(draft, path)


if __name__ == "__main__":
    sys.exit(main())
