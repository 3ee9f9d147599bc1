"""Real processes without a second of start-up: one that has imported everything, and forks.

`python -m tests.prove.zygote SOCKET DOOR SETTINGS` listens; `Zygote` is its client. What it forks are
processes of their own, with their own locks and a real SIGKILL. In them `subprocess.Popen` of our own
modules comes here too, so the senders of a daemon, and whatever these start, are forked as well. Each
belongs to a `life` (one launch), and so do all that it starts.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.prove import marks

_MOST = 1 << 18  # bytes of one message
_SOCKET = "LAUNCHDAY_PROVE_ZYGOTE"  # the environment of whatever it forks says where it listens


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    return sock


def _say(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([json.dumps(message).encode()], rights)


def _hear(sock: socket.socket, flags: int = 0) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message (None: the other side has gone) and the open files that came with it."""
    raw, rights, *_ = sock.recvmsg(_MOST, socket.CMSG_SPACE(64 * 4), flags)
    fds = array.array("i")
    for _level, _kind, data in rights:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return (json.loads(raw) if raw else None), list(fds)


_TAKES = inspect.signature(subprocess.Popen._execute_child)


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen` whose children are forked by the zygote where they are `python -m scheduler…`."""

    _line: socket.socket | None = None

    def _execute_child(self, *given: Any) -> None:
        how = _TAKES.bind(self, *given).arguments
        argv = [os.fspath(a) for a in how["args"]] if isinstance(how["args"], list | tuple) else []
        at = argv.index("-m") if "-m" in argv else -1
        ours = at > 0 and argv[0] == sys.executable and argv[at + 1].startswith("scheduler")
        if not ours or how["preexec_fn"] or _SOCKET not in os.environ:
            return super()._execute_child(*given)
        ends = [how["p2cread"], how["c2pwrite"], how["errwrite"]]
        fds = {number: (end if end >= 0 else number) for number, end in enumerate(ends)}
        fds |= {number: number for number in how["pass_fds"]}
        environ = {os.fsdecode(k): os.fsdecode(v) for k, v in (how["env"] or os.environ).items()}
        try:
            self._line = _connect(os.environ[_SOCKET])
            message = {
                "do": "start",
                "module": argv[at + 1],
                "argv": argv[at + 2 :],
                "env": {**environ, _SOCKET: os.environ[_SOCKET]},
                "cwd": os.fspath(how["cwd"] or os.getcwd()),
                "session": bool(how["start_new_session"]),
                "fds": list(fds),
            }
            _say(self._line, message, list(fds.values()))
            answer, _ = _hear(self._line)
            if answer is None:
                raise OSError("the zygote has gone")
            self.pid = answer["pid"]
            self._child_created = True
        finally:
            self._close_pipe_fds(*(how[n] for n in inspect.getfullargspec(self._close_pipe_fds).args[1:]))
        return None

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._line is None:
            return super()._try_wait(wait_flags)
        try:
            answer, _ = _hear(self._line, socket.MSG_DONTWAIT if wait_flags else 0)
        except BlockingIOError:
            return 0, 0
        return self.pid, answer["status"] if answer else signal.SIGKILL

    def _internal_poll(self, _deadstate: Any = None, *rest: Any) -> int | None:
        if self._line is None:
            return super()._internal_poll(_deadstate, *rest)
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid == self.pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


# The client


@dataclass
class Zygote:
    """What starts, kills and asks. Threads may share it: each request has a connection of its own."""

    path: str
    door: socket.socket

    def _knock(self) -> socket.socket:
        """A line of our own (not by the path: pytest-socket lets no test connect to one)."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            _say(self.door, {}, [theirs.fileno()])
        return ours

    def ask(self, **message: Any) -> dict[str, Any]:
        """One question, one answer."""
        with self._knock() as sock:
            _say(sock, message)
            answer, _ = _hear(sock)
        assert answer is not None, "the zygote has gone"
        return answer

    def start(
        self, life: str, module: str, argv: Sequence[str], *, talk: Path, env: Mapping[str, str], cwd: Path
    ) -> socket.socket:
        """Start `python -m module argv`; its output goes to `talk`. What is returned says when it ended."""
        sock = self._knock()
        with talk.open("ab") as out, open(os.devnull, "rb") as nothing:
            message = {
                "do": "start",
                "life": life,
                "module": module,
                "argv": list(argv),
                "env": {**env, _SOCKET: self.path},
                "cwd": str(cwd),
                "session": True,
                "fds": [0, 1, 2],
            }
            _say(sock, message, [nothing.fileno(), out.fileno(), out.fileno()])
        _hear(sock)
        return sock

    def aim(self, life: str, step: str, nth: int, *, who: str, pause: bool, number: int = 9) -> None:
        """From now on, what is started in `life` is sent the signal when it comes to `step` the n-th time.

        `who`: all, self or daemon. `pause`: it stays in the step until the signal is there.
        """
        self.ask(do="aim", life=life, aim={"step": step, "nth": nth, "who": who, "pause": pause, "n": number})

    def kill(self, life: str, who: str, number: int = 9, *, note: bool = True) -> list[dict[str, Any]]:
        """Signal what lives: all, everything (platforms, too), a role, or a process. Says whom and where."""
        return list(self.ask(do="kill", life=life, who=who, n=number, note=note)["hit"])

    def hits(self, life: str) -> list[dict[str, Any]]:
        """Every signal so far: pid, role, step, and whether it was aimed."""
        return list(self.ask(do="hits", life=life)["hits"])

    def alive(self, life: str) -> list[dict[str, Any]]:
        """What lives: pid, role and step."""
        return list(self.ask(do="alive", life=life)["alive"])

    def forget(self, life: str) -> None:
        """The launch is over."""
        self.ask(do="forget", life=life)


@contextmanager
def zygote(**settings: Any) -> Iterator[Zygote]:
    """A running one; it ends, with all it has forked, when the block does."""
    with tempfile.TemporaryDirectory(prefix="launchday-zygote-") as folder:
        path = str(Path(folder) / "socket")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door = theirs.fileno()
        command = [sys.executable, "-m", "tests.prove.zygote", path, str(door), json.dumps(settings)]
        root = Path(__file__).parents[2]
        with ours, subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[door], cwd=root) as child:
            theirs.close()
            assert child.stdout
            assert child.stdout.readline() == b"ready\n", "the zygote did not start"
            try:
                yield Zygote(path, ours)
            finally:
                ours.shutdown(socket.SHUT_RDWR)
                child.wait(30)


# The server


@dataclass
class Child:
    """A process that was forked; `line` is who started it."""

    pid: int
    life: str
    role: str
    slot: int
    line: socket.socket | None


@dataclass
class Server:
    """Forks, kills and reaps; one thread, one loop."""

    listener: socket.socket
    door: socket.socket
    children: dict[int, Child] = field(default_factory=dict)
    aims: dict[str, dict[str, Any]] = field(default_factory=dict)
    hits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    next_slot: int = 0

    def serve(self) -> Callable[[], None] | None:
        """Until the door is closed: None. In a forked child: what it is to run."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        for what in (self.listener, self.door, woken):
            selector.register(what, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    self._reap()
                    continue
                if key.fileobj is self.listener:
                    line, _ = self.listener.accept()
                else:
                    said, fds = _hear(self.door)
                    if said is None:
                        for child in self.children.values():
                            os.kill(child.pid, signal.SIGKILL)
                        return None
                    line = socket.socket(fileno=fds[0])
                if job := self._answer(line):
                    selector.close()
                    return job

    def _answer(self, line: socket.socket) -> Callable[[], None] | None:
        said, fds = _hear(line)
        if said is None:
            line.close()
            return None
        if said["do"] == "start":
            return self._fork(line, said, fds)
        if said["do"] == "fired":
            self._fired(_peer(line), said["aim"])
        with contextlib.suppress(OSError):
            _say(line, self._reply(said))
        line.close()
        return None

    def _reply(self, said: Mapping[str, Any]) -> dict[str, Any]:
        life = said.get("life", "")
        if said["do"] == "aim":
            self.aims[life] = said["aim"]
        elif said["do"] == "kill":
            return {"hit": self._signal(life, said["who"], said["n"], note=said["note"])}
        elif said["do"] == "hits":
            return {"hits": self.hits.get(life, [])}
        elif said["do"] == "alive":
            return {"alive": [self._where(c) for c in self.children.values() if c.life == life]}
        elif said["do"] == "forget":
            self.aims.pop(life, None)
            self.hits.pop(life, None)
        return {}

    def _fork(self, line: socket.socket, said: dict[str, Any], fds: list[int]) -> Callable[[], None] | None:
        starter = self.children.get(_peer(line))
        life = said.get("life") or (starter.life if starter else "")
        self.next_slot = (self.next_slot + 1) % marks.SLOTS
        while any(c.slot == self.next_slot for c in self.children.values()):
            self.next_slot = (self.next_slot + 1) % marks.SLOTS
        slot, aim = self.next_slot, self.aims.get(life)
        marks.clear(slot)
        pid = os.fork()
        if pid == 0:
            marks.begin(slot, aim, self._tell)
            return lambda: _become(said, fds)
        for fd in fds:
            os.close(fd)
        self.children[pid] = Child(pid, life, _role(said), slot, line)
        with contextlib.suppress(OSError):  # who asked for it may have been killed meanwhile
            _say(line, {"pid": pid})
        return None

    @staticmethod
    def _tell(aim: Mapping[str, Any]) -> None:
        """In a child: it has come to the step that was aimed at."""
        with _connect(os.environ[_SOCKET]) as sock:
            _say(sock, {"do": "fired", "aim": aim})

    def _fired(self, pid: int, aim: Mapping[str, Any]) -> None:
        child = self.children.get(pid)
        if child:
            # Where two came to the step, the second is hit alone: the others are of the next start already.
            who = aim["who"] if self.aims.pop(child.life, None) else "self"
            self._signal(child.life, str(pid) if who == "self" else who, aim["n"], by=pid)

    def _signal(
        self, life: str, who: str, number: int, *, note: bool = True, by: int = 0
    ) -> list[dict[str, Any]]:
        mine = [c for c in self.children.values() if c.life == life]
        chosen = [
            c
            for c in mine
            if who == "everything" or (who == "all" and c.role != "platforms") or who in (c.role, str(c.pid))
        ]
        # The one that came to the step is hit first: the others are a moment later, as on a real machine.
        chosen.sort(key=lambda c: c.pid != by)
        hit = []
        for child in chosen:
            os.kill(child.pid, number)
            hit.append({**self._where(child), "aimed": bool(by), "hit": child.pid == (by or child.pid)})
        if note:
            self.hits.setdefault(life, []).extend(hit)
        return hit

    @staticmethod
    def _where(child: Child) -> dict[str, Any]:
        return {"pid": child.pid, "role": child.role, "step": marks.step_of(child.slot)}

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child and child.line:
                with contextlib.suppress(OSError):
                    _say(child.line, {"status": status})
                child.line.close()


def _peer(line: socket.socket) -> int:
    raw = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", raw)[0])


def _role(said: Mapping[str, Any]) -> str:
    if said["module"] == "scheduler.publishers.simulated":
        return "platforms"
    if said["module"] in ("scheduler", "tests.prove.naive"):
        return "daemon" if "run" in said["argv"] else "command"
    if said["module"] == "scheduler.sender":
        return "sender" if "wave" in said["argv"] else "reconcile"
    return "worker"


def _become(said: Mapping[str, Any], fds: Sequence[int]) -> None:
    """In the child: take over files, environment, folder and name, and run the module as `__main__`."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    high = [fd if fd > 200 else _lifted(fd) for fd in fds]
    for number, fd in zip(said["fds"], high, strict=True):
        os.dup2(fd, number, inheritable=number > 2)
    keep = set(said["fds"])
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    if said["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(said["env"])
    os.chdir(said["cwd"])
    sys.argv = [said["module"], *said["argv"]]
    marks.mark("start")
    warnings.filterwarnings("ignore", module="runpy")  # it finds the module imported: that is the point
    runpy.run_module(said["module"], run_name="__main__", alter_sys=True)


def _lifted(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD, 201)


def main() -> None:
    """Import, patch what the settings say, listen; in a forked child: become what was asked for."""
    path, door, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    marks.install(settings)
    import scheduler

    for found in pkgutil.walk_packages(scheduler.__path__, "scheduler."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)
    for name in ("psycopg", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg"):
        importlib.import_module(name)
    importlib.import_module("tests.prove.life").warm()
    os.environ[_SOCKET] = path
    subprocess.Popen = Popen  # type: ignore[misc]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(256)
    gc.collect()
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    job = Server(listener, socket.socket(fileno=door)).serve()
    if job is not None:
        job()


if __name__ == "__main__":
    main()
