"""The real Bluesky PDS: npm's @atproto/dev-env, installed once into .cache/, started for a test session."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = "@atproto/dev-env@0.3.215"
INSTALL_S, START_S = 480, 60
_ROOT = Path(__file__).parents[3]


class NotHere(Exception):
    """Why there is no PDS on this machine, in a few words."""


@dataclass
class Pds:
    """A running server. `signup` makes an account: (handle, DID, app password)."""

    url: str
    process: subprocess.Popen[bytes]
    drain: threading.Thread  # reads what the server prints, or its pipe would fill and stop it
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def signup(self) -> tuple[str, str, str]:
        number = next(self._count)
        handle = f"force{number}.test"
        new = {"email": f"{number}@example.org", "handle": handle, "password": "only for this test"}
        made = self.call("com.atproto.server.createAccount", new)
        token = made["accessJwt"]
        password = self.call("com.atproto.server.createAppPassword", {"name": "launchday"}, token)
        return handle, made["did"], password["password"]

    def records(self, did: str) -> list[dict[str, Any]]:
        """What the server has, whatever we believe."""
        query = f"?repo={did}&collection=app.bsky.feed.post&limit=100"
        listed: list[dict[str, Any]] = self.call(f"com.atproto.repo.listRecords{query}")["records"]
        return listed

    def blob(self, did: str, cid: str) -> bytes:
        url = f"{self.url}/xrpc/com.atproto.sync.getBlob?did={did}&cid={cid}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            data: bytes = reply.read()
        return data

    def call(self, name: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/xrpc/{name}", data, headers if data else {})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.drain.join()
        self.process.stdout.close()


def start() -> Pds:
    """Install on first use, then start. Raises NotHere."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise NotHere("no node" if not node else "no npm")
    folder = _ROOT / ".cache" / "bluesky-pds"
    _install(npm, folder)
    plc, port = _free_port(), _free_port()
    script = str(Path(__file__).with_name("server.mjs"))
    process = subprocess.Popen(
        [node, script, str(folder), str(plc), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"LOG_ENABLED": "false"},
    )
    assert process.stdout is not None
    kill = threading.Timer(START_S, process.kill)
    kill.start()
    ready = any(line.strip() == b"ready" for line in process.stdout)  # reads up to the line, then stops
    kill.cancel()
    if not ready:
        process.kill()
        process.wait()
        process.stdout.close()
        raise NotHere(f"{PACKAGE} did not start within {START_S} s")
    drain = threading.Thread(target=process.stdout.read, daemon=True)
    drain.start()
    return Pds(f"http://localhost:{port}", process, drain)


def _install(npm: str, folder: Path) -> None:
    """Install into `folder` unless it was done before; two sessions at once wait for each other."""
    done = folder / f".installed-{PACKAGE.rpartition('@')[2]}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        (folder / "package.json").write_text('{"private": true}\n')
        with (folder / "npm.log").open("wb") as log:
            installing = subprocess.Popen(
                [npm, "install", "--no-audit", "--no-fund", "--fetch-retries=1", PACKAGE],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that npm's compilers end with it
            )
            try:
                status = installing.wait(INSTALL_S)
            except subprocess.TimeoutExpired:
                os.killpg(installing.pid, signal.SIGKILL)
                installing.wait()
                raise NotHere(f"npm install took more than {INSTALL_S // 60} minutes") from None
        if status != 0:
            raise NotHere(f"npm install failed, see {folder / 'npm.log'}")
        done.touch()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
