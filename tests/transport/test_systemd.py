"""systemd hears that the daemon is ready, alive and stopping, over a real datagram socket."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.transport.systemd import Systemd


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """(what NOTIFY_SOCKET says, the socket behind it)."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@launchday-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1))
        sock.settimeout(10)
        yield name, sock


def test_ready_alive_and_stopping_arrive(systemd: tuple[str, socket.socket]) -> None:
    name, sock = systemd
    ours = Systemd({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
    ours.ready("publishes\nwhat is due")
    ours.alive()
    ours.status("wave 3")
    ours.stopping("a wave is finished first")
    assert [sock.recv(1000).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=publishes what is due",
        "WATCHDOG=1",
        "STATUS=wave 3",
        "STOPPING=1\nSTATUS=a wave is finished first",
    ]


def test_alive_is_said_no_more_often_than_systemd_wants_to_hear_it(
    systemd: tuple[str, socket.socket],
) -> None:
    name, sock = systemd
    ours = Systemd({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    assert ours.every == 10
    for _ in range(20):
        ours.alive()
    ours.status("after")
    assert [sock.recv(1000) for _ in range(2)] == [b"WATCHDOG=1", b"STATUS=after"]


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}])
def test_nobody_who_asks_is_told_nothing(systemd: tuple[str, socket.socket], environ: dict[str, str]) -> None:
    name, sock = systemd
    ours = Systemd({**environ, "NOTIFY_SOCKET": name})
    ours.alive()
    ours.status("only this")
    assert sock.recv(1000) == b"STATUS=only this"


def test_without_systemd_nothing_happens_and_a_dead_socket_breaks_nothing(tmp_path: Path) -> None:
    Systemd({}).ready("x")
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")


def test_children_do_not_inherit_the_socket() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    Systemd(environ)
    assert environ == {"HOME": "/"}
