"""The HTTP that all simulated platforms speak: strict, patient, and stamping before anything else."""

import json
import resource
import selectors
import socket
from collections.abc import Iterator

import pytest

from scheduler.publishers.simulated import ledger, process
from simulated.client import Client

TOKEN = b"Authorization: Bearer sim:wire/mastodon\r\n"


@pytest.fixture
def wire(sim: process.Running) -> Iterator[socket.socket]:
    host, port = sim.servers["mastodon"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def answer(wire: socket.socket) -> tuple[int, bytes]:
    """One whole reply; what follows it stays unread."""
    with wire.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, file.read(length)


def post(text: str) -> bytes:
    body = json.dumps({"status": text}).encode()
    head = b"POST /api/v1/statuses HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n" + TOKEN
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_serves_one_request_after_another(wire: socket.socket) -> None:
    for number in range(3):
        wire.sendall(post(f"Kept alive {number}"))
        assert answer(wire)[0] == 200


def test_a_request_in_small_pieces_is_one_request_stamped_at_its_first(
    sim: process.Running, wire: socket.socket
) -> None:
    request = post("In pieces")
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.sendall(request[:1])
    other = Client(sim.servers["mastodon"], "sim:wire/between")
    other.post("/api/v1/statuses", {"status": "Between"})
    for at in range(1, len(request)):
        wire.sendall(request[at : at + 1])
    assert answer(wire)[0] == 200
    stamps = {entry.text: entry.arrived_ns for entry in ledger.read(sim.directory)}
    assert stamps["In pieces"] < stamps["Between"]


def test_a_chunked_body_is_put_together(wire: socket.socket) -> None:
    body = json.dumps({"status": "In chunks"}).encode()
    head = b"POST /api/v1/statuses HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n" + TOKEN
    wire.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
    for piece in (body[:5], body[5:]):
        wire.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    wire.sendall(b"0\r\n\r\n")
    status, reply = answer(wire)
    assert (status, json.loads(reply)["content"]) == (200, "<p>In chunks</p>")


def test_expect_100_continue_is_answered_before_the_body_is_sent(wire: socket.socket) -> None:
    head, _, body = post("Expected").partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.sendall(body)
    assert answer(wire)[0] == 200


def test_a_client_that_wants_the_connection_closed_gets_it_closed(wire: socket.socket) -> None:
    wire.sendall(b"GET /api/v2/instance HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
    assert answer(wire)[0] == 200
    assert wire.recv(1) == b""


def test_a_client_that_has_sent_all_and_closed_its_half_is_still_answered(wire: socket.socket) -> None:
    wire.sendall(post("Half closed"))
    wire.shutdown(socket.SHUT_WR)
    assert answer(wire)[0] == 200
    assert wire.recv(1) == b""


def test_a_whole_request_is_done_though_its_sender_died_after_the_last_byte(sim: process.Running) -> None:
    host, port = sim.servers["mastodon"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(post("Sent, then died") + post("And one more behind it"))
    left = {"Sent, then died", "And one more behind it"}
    while left:  # the runner's own time limit ends this where they never come
        entries = Client(sim.servers["x"]).get("/_sim/ledger").body["entries"]
        left -= {entry["text"] for entry in entries}


def test_half_a_request_is_nothing(sim: process.Running) -> None:
    host, port = sim.servers["mastodon"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(post("Never whole")[:-1])
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(1) == b""
    assert not [e for e in ledger.read(sim.directory) if e.text == "Never whole"]


def test_head_is_answered_without_a_body(wire: socket.socket) -> None:
    wire.sendall(b"HEAD /api/v2/instance HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
    reply = b"".join(iter(lambda: wire.recv(4096), b""))
    assert reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http HTTP/1.1\r\nHost: sim\r\n\r\n", 400),
        (b"GET / HTTP/2\r\nHost: sim\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: sim\r\nHost: sim\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : sim\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: 10485761\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: sim\r\nX: " + b"a" * 70000, 431),
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(
    wire: socket.socket, request_: bytes, status: int
) -> None:
    wire.sendall(request_)
    assert answer(wire)[0] == status
    assert wire.recv(1) == b""


def test_the_ledger_can_be_read_over_http(sim: process.Running, x: Client, account: str) -> None:
    x.post("/2/tweets", {"text": "Seen"})
    entries = Client(sim.servers["facebook"]).get("/_sim/ledger").body["entries"]
    assert [e["text"] for e in entries if e["account"] == account] == ["Seen"]
    assert Client(sim.servers["x"]).get("/_sim/nothing").status == 404


def _connect(sim: process.Running, count: int) -> list[socket.socket]:
    host, port = sim.servers["mastodon"].removeprefix("http://").split(":")
    return [socket.create_connection((host, int(port)), timeout=60) for _ in range(count)]


def _answers(wires: list[socket.socket]) -> list[int]:
    """The status of every reply, read as they come."""
    statuses = []
    with selectors.DefaultSelector() as ready:
        for wire in wires:
            ready.register(wire, selectors.EVENT_READ)
        while len(statuses) < len(wires):
            for key, _ in ready.select():
                wire = key.fileobj
                assert isinstance(wire, socket.socket)
                statuses.append(answer(wire)[0])
                ready.unregister(wire)
    return statuses


def test_a_burst_of_a_thousand_is_answered_whole_and_kept_once(sim: process.Running) -> None:
    wires = _connect(sim, 1000)
    requests = [post(f"Burst {number}") for number in range(1000)]
    try:
        for wire, request in zip(wires, requests, strict=True):
            wire.sendall(request)
        assert set(_answers(wires)) == {200}
    finally:
        for wire in wires:
            wire.close()
    burst = [e for e in ledger.read(sim.directory) if e.text.startswith("Burst ")]
    assert len(burst) == 1000
    assert ledger.duplicates(burst) == []


def test_five_thousand_connections_are_served(sim: process.Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 6000:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 6000), hard))
    wires = _connect(sim, 5000)
    try:
        for wire in wires:
            wire.sendall(b"GET /api/v2/instance HTTP/1.1\r\nHost: sim\r\n\r\n")
        assert set(_answers(wires)) == {200}
    finally:
        for wire in wires:
            wire.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
