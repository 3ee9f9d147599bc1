"""The process: one per folder, found again, ended in order, and killed without loss."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scheduler.errors import TryLater
from scheduler.publishers.simulated import ledger, process
from simulated.client import Client


def publish(running: process.Running, text: str, key: str = "") -> str:
    client = Client(running.servers["mastodon"], "sim:dorset/mastodon")
    headers = {"Idempotency_Key": key} if key else {}
    return str(client.post("/api/v1/statuses", {"status": text}, **headers).body["id"])


def test_it_says_where_it_serves_and_is_found_again(folder: Path) -> None:
    running = process.start(folder, tied=True)
    told = json.loads((folder / "ready.json").read_text())
    assert told == {"pid": running.pid, "servers": dict(running.servers)}
    assert set(running.servers) == {"mastodon", "bluesky", "x", "facebook"}
    found = process.running(folder)
    assert found is not None
    assert (found.pid, found.servers) == (running.pid, running.servers)
    assert process.stop(folder)
    assert running.child is not None
    assert running.child.wait() == 0
    assert not (folder / "ready.json").exists()
    assert process.running(folder) is None
    assert not process.stop(folder)
    running.stop()


def test_a_second_start_exits_75_with_the_pid_of_the_first(folder: Path) -> None:
    running = process.start(folder, tied=True)
    argv = [sys.executable, "-m", "scheduler.publishers.simulated", str(folder)]
    second = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert second.returncode == 75
    assert f"(pid {running.pid})" in second.stderr
    with pytest.raises(TryLater, match=str(running.pid)):
        process.start(folder)
    assert process.running(folder) is not None
    running.stop()


def test_faults_that_cannot_be_read_are_a_usage_error(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('[{"fault": "nonsense"}]')
    argv = [sys.executable, "-m", "scheduler.publishers.simulated", str(folder), "--faults", str(script)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "nonsense" in ended.stderr


def test_faults_can_be_there_from_the_start(folder: Path) -> None:
    running = process.start(folder, [{"fault": "throttle"}], tied=True)
    client = Client(running.servers["x"], "sim:dorset/x")
    assert [client.post("/2/tweets", {"text": "Words"}).status for _ in range(2)] == [429, 201]
    assert running.fired() == [1]
    running.stop()


def test_after_a_restart_everything_is_as_it_was_on_the_same_ports(folder: Path) -> None:
    running = process.start(folder, tied=True)
    client = Client(running.servers["mastodon"], "sim:dorset/mastodon")
    first = publish(running, "Kept", "k")
    gone = publish(running, "Gone")
    client.send("DELETE", f"/api/v1/statuses/{gone}")
    before = ledger.read(folder)
    servers = running.servers
    running.stop()
    again = process.start(folder, tied=True)
    assert again.servers == servers
    assert ledger.read(folder) == before
    assert publish(again, "Kept", "k") == first, "the key is remembered"
    assert client.get(f"/api/v1/statuses/{gone}").status == 404
    me = client.get("/api/v1/accounts/verify_credentials").body["id"]
    assert [s["id"] for s in client.get(f"/api/v1/accounts/{me}/statuses").body] == [first]
    again.stop()


def test_a_taken_port_does_not_keep_it_from_starting(folder: Path) -> None:
    running = process.start(folder, tied=True)
    port = int(running.servers["x"].rpartition(":")[2])
    running.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        again = process.start(folder, tied=True)
        assert again.servers["x"] != running.servers["x"]
        assert again.servers["mastodon"] == running.servers["mastodon"]
        again.stop()


def test_kill_9_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    running = process.start(folder, tied=True)
    acknowledged: list[str] = []
    enough = threading.Event()

    def keep_publishing() -> None:
        number = 0
        while True:
            number += 1
            try:
                acknowledged.append(publish(running, f"Number {number}"))
            except OSError:
                return
            if number == 50:
                enough.set()

    writer = threading.Thread(target=keep_publishing)
    writer.start()
    assert enough.wait(30)
    running.kill()
    writer.join()
    kept = {entry.remote_id for entry in ledger.read(folder)}
    assert set(acknowledged) <= kept
    assert len(kept) - len(acknowledged) <= 1, "at most the one whose reply was on its way"
    again = process.start(folder, tied=True)
    assert publish(again, "And on") not in kept
    assert len(ledger.read(folder)) == len(kept) + 1
    again.stop()


def test_a_torn_last_line_is_not_read_and_is_mended_by_the_next_start(folder: Path) -> None:
    running = process.start(folder, tied=True)
    publish(running, "Whole")
    running.kill()
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(b'{"kind": "post", "platform": "mast')
    assert [entry.text for entry in ledger.read(folder)] == ["Whole"]
    again = process.start(folder, tied=True)
    publish(again, "Next")
    assert [entry.text for entry in ledger.read(folder)] == ["Whole", "Next"]
    again.stop()


def test_a_stale_ready_file_is_not_believed(folder: Path) -> None:
    running = process.start(folder, tied=True)
    running.kill()
    assert (folder / "ready.json").exists()
    assert process.running(folder) is None


STARTER = """
import sys
from scheduler.publishers.simulated import process
print(process.start(sys.argv[1], tied=sys.argv[2] == "tied").pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("tied", [True, False])
def test_it_ends_with_its_starter_only_where_it_is_tied_to_it(folder: Path, tied: bool) -> None:
    argv = [sys.executable, "-c", STARTER, str(folder), "tied" if tied else "free"]
    starter = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdin is not None
    pid = int(starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdin.close()
    starter.stdout.close()
    if not tied:
        assert process.running(folder) is not None
        assert process.stop(folder)
        return
    lock = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # granted when the platforms have ended
    os.close(lock)
    assert process.running(folder) is None
    assert not Path(f"/proc/{pid}/fd/3").exists()


def test_duplicates_are_the_same_words_live_twice_on_one_account() -> None:
    def entry(remote_id: str, text: str, **more: object) -> ledger.Entry:
        return ledger.Entry("x", str(more.pop("account", "a/x")), remote_id, text, **more)  # type: ignore[arg-type]

    one, two = entry("1", "Help  exists &amp; works"), entry("2", "Help exists & works")
    elsewhere, gone = (
        entry("3", "Help exists & works", account="b/x"),
        entry("4", "Help exists & works", deleted=True),
    )
    assert ledger.duplicates([one, two, elsewhere, gone, entry("5", "Other")]) == [(one, two)]
    assert ledger.duplicates([]) == []


def test_a_folder_without_a_ledger_is_an_empty_ledger(folder: Path) -> None:
    assert ledger.read(folder) == []
    assert ledger.arrivals(folder) == []
