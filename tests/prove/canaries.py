"""Canary secrets through a live launch with faults, kills and errors: every byte written is searched.

Live mode on loopback: tokens by `env:` and `file:`, platforms that misbehave (and echo the token in their
errors), debug output on, kill -9, doctor and the log's exports. What is searched: the workspace, home and
temporary folders, all output, and the arguments of every process. Not searched: the files of the secrets
themselves, and the memory and environment of processes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from scheduler.app import App, open_app
from scheduler.publishers.simulated import process
from scheduler.store import outbox
from tests.prove.life import APPROVED, ENDED, HELD, NO_WORD, PLATFORMS, TIMING, queued, workspace
from tests.prove.zygote import Zygote, zygote

RULES = (
    {"fault": "http_5xx_after", "status": 500, "times": 2},
    {"fault": "drop_reply", "times": 2},
    {"fault": "refuse", "code": 401, "account": "wiltshire/mastodon", "times": 1},
    {"fault": "throttle", "times": 1},
    {"fault": "redirect", "times": 1},
    {"fault": "invalid_json", "step": "look", "times": 1},
    {"fault": "http_5xx_before", "step": "session", "status": 503, "times": 1},
)
COMMANDS = (
    ("doctor",), ("status", "--json"), ("log", "--json"), ("audit",), ("list", "--json"), ("log", "verify"),
)  # fmt: skip
Say = Callable[[str], None]


def forms(token: str) -> list[bytes]:
    """The token as it stands, and in other writings: URL, JSON, hex, base64 at each offset."""
    raw = token.encode()
    found = {raw, quote(token, safe="").encode(), json.dumps(token)[1:-1].encode(), raw.hex().encode()}
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw + b"\0" * 2)
        # Without the ends, which depend on what stands beside it.
        found |= {inner[4:-4], base64.urlsafe_b64encode(b"\0" * shift + raw + b"\0" * 2)[4:-4]}
    return sorted(found)


def hits(places: Mapping[str, Path], wanted: list[bytes], leave: Path) -> list[str]:
    """Every file below these folders that holds one of them; `leave` is where the secrets were put."""
    pattern = re.compile(b"|".join(re.escape(one) for one in wanted))
    found = []
    for name, folder in places.items():
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.is_symlink() or path.is_relative_to(leave):
                continue
            if pattern.search(path.read_bytes()) or pattern.search(os.fsencode(path.name)):
                found.append(f"{name}: {path.relative_to(folder)}")
    return found


class Arguments:
    """The arguments of every process of this machine that holds one of the tokens, while it runs."""

    def __init__(self, wanted: list[bytes]) -> None:
        self._wanted, self._over = wanted, threading.Event()
        self.found: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Arguments:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if any(one in line for one in self._wanted):
                    self.found.add(f"arguments of {path.parent.name}")


def launch(folder: Path, forks: Zygote, tokens: Mapping[str, str]) -> None:
    """One live launch on loopback, killed twice, then every command that prints or exports."""
    home, temp, kept = folder / "home", folder / "tmp", folder / "secrets"
    for one in (home, temp, kept):
        one.mkdir(mode=0o700)
    shown = process.start(folder / "platforms", RULES, tied=True)
    try:
        root = _workspace(folder / "workspace", shown.servers, tokens, kept)
        names = {_variable(a): t for a, t in tokens.items()}
        environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("LAUNCHDAY_")},
            **names,
            "HOME": str(home),
            "TMPDIR": str(temp),
            "LAUNCHDAY_DEBUG": "1",
        }
        app = open_app(root, "live", environ=environ)
        try:
            queued(app, at=app.clock.now().replace(microsecond=0) + timedelta(seconds=6))
            _run(forks, root, environ, lambda: _ended(app))
        finally:
            app.close()
        for command in COMMANDS:
            with (folder / "said.txt").open("ab") as said:
                line = [sys.executable, "-m", "scheduler", "-C", str(root), *command]
                subprocess.run(line, env=environ, stdout=said, stderr=said, check=False, timeout=120)
    finally:
        shown.stop()


def _ended(app: App) -> bool:
    with app.db.read() as conn:
        return all(d.state in ENDED for d in outbox.find(conn) if d.organisation in APPROVED)


def _run(forks: Zygote, root: Path, environ: Mapping[str, str], ended: Callable[[], bool]) -> None:
    argv, talk = ["-C", str(root), "run", "--live"], root / "daemon.txt"
    end, kills = time.monotonic() + 40, [6.1, 8.5]
    begun = time.monotonic()
    while time.monotonic() < end and not (ended() and not kills):
        if not any(one["role"] == "daemon" for one in forks.alive("live")):
            forks.start("live", "scheduler", argv, talk=talk, env=environ, cwd=root).close()
        if kills and time.monotonic() > begun + kills[0]:
            kills.pop(0)
            forks.kill("live", "all")
        time.sleep(0.1)
    forks.kill("live", "everything")


def _workspace(root: Path, servers: Mapping[str, str], tokens: Mapping[str, str], kept: Path) -> Path:
    def address(organisation: str, platform: str) -> str:
        account, server = f"{organisation}/{platform}", servers[platform]
        reference = f"env:{_variable(account)}"
        if organisation == APPROVED[0]:
            secret = kept / _variable(account)
            secret.touch(0o600)
            secret.write_text(tokens[account], "utf-8")
            reference = f"file:{secret}"
        return f'server: "{server}", token: "{reference}"'

    return workspace(root, "live", address)


def _variable(account: str) -> str:
    return re.sub(r"\W", "_", account).upper()


def canaries() -> dict[str, str]:
    """A token for each account: the simulated platforms read the account from it, the rest is the canary."""
    return {
        f"{o}/{p}": f"sim:{o}/{p}:{secrets.token_hex(10)}+&<{secrets.token_hex(6)}"
        for o in (*APPROVED, NO_WORD, HELD)
        for p in PLATFORMS
    }


def _canary(token: str) -> str:
    """The part of it that stands nowhere else."""
    return token.rpartition(":")[2]


def run(*, quick: bool, seed: int, say: Say) -> dict[str, object]:
    """Launch, search; then once more with a leak, which must be found."""
    found = search(say)
    leaked = search(say, leak=True)
    for one in found:
        say(f"canaries  {one}")
    return {
        "canary_hits": len(found),
        "canaries_ok": bool(leaked),
        "canaries_found_where_leaked": len(leaked),
        "canaries_on": f"one live launch of {len(APPROVED) * len(PLATFORMS)} accounts on loopback, two kills",
    }


def search(say: Say, *, leak: bool = False) -> list[str]:
    """Where the canaries of one launch were found; `leak` writes one to the daemon's output on purpose."""
    with tempfile.TemporaryDirectory(prefix="launchday-canaries-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tokens = canaries()
        wanted = [form for token in tokens.values() for form in forms(_canary(token))]
        with zygote(timing=TIMING, modes=["LIVE"], leak=leak) as forks, Arguments(wanted) as arguments:
            launch(folder, forks, tokens)
        places = {"workspace": folder / "workspace", "home": folder / "home", "tmp": folder / "tmp"}
        said = folder / "said"
        said.mkdir()
        (folder / "said.txt").rename(said / "said.txt")
        found = hits({**places, "output": said}, wanted, folder / "secrets")
        return found + sorted(arguments.found)
