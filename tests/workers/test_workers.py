"""Publishers' code in processes of its own: one that misbehaves costs its own platform."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media, sha256
from scheduler.domain.publisher import Capability, Outgoing, Prepared, Publisher, Receipt, Reply
from scheduler.errors import CannotTell, LaunchdayError, NotReady, OutcomeUnknown, SecretError
from scheduler.services.calls import Built, Find, Prepare, Read
from scheduler.transport.http import Transport
from scheduler.workers import crew as crews
from scheduler.workers import limits
from scheduler.workers.crew import STARTS, Crew
from scheduler.workers.nursery import Nursery
from scheduler.workers.worker import work

from .toys import Bad, Good, deeds, loader

DUE = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
SOON = 1.5  # seconds that a call to a bad publisher has
TOKEN = "canary-token-4f9a1c7e2b8d6053"


@contextmanager
def crew_of(publishers: Mapping[str, Callable[[], Publisher]], **more: Any) -> Iterator[Crew]:
    with Nursery(partial(work, load=loader(publishers))) as nursery:
        crew = Crew(nursery, publishers, Transport(), lambda a: a, more.get("secret", lambda a: TOKEN))
        try:
            yield crew
        finally:
            crew.close()


def account(platform: str, organisation: str = "dorset") -> Account:
    return Account(
        organisation, platform, platform, "@dorset", "https://toy.example", secret=f"env:{platform}"
    )


def content(platform: str, text: str = "words", media: tuple[Media, ...] = ()) -> Content:
    return Content("dorset", f"dorset/{platform}", platform, "", text, media=media)


def prepare(platform: str, text: str = "words", **more: Any) -> Prepare:
    body = b"a picture"
    made = content(platform, text, more.get("media", ()))
    return Prepare(account(platform), Outgoing(made, f"key of {text}", DUE, lambda m: body))


def read(platform: str, body: bytes = b"1") -> Read:
    return Read(account(platform), Prepared(content(platform), account(platform)), Reply(200, {}, body))


def find(platform: str) -> Find:
    return Find(account(platform), Prepared(content(platform), account(platform)), "key", DUE)


def ask(crew: Crew, *calls: Any, within: float = SOON) -> list[Any]:
    return crew.ask(calls, time.time() + within)


def both(crew: Crew, call: Callable[[str], Any]) -> tuple[Any, Any]:
    """The same call to both platforms at once; only the bad one is short of time."""
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(ask, crew, call("good"), within=60)
        bad = pool.submit(ask, crew, call("bad"))
        return good.result()[0], bad.result()[0]


def left_behind(folder: Path) -> list[int]:
    pids = [int(p.name.removeprefix("pid-")) for p in folder.glob("pid-*")]
    return [p for p in pids if Path(f"/proc/{p}").exists()]


def is_clean(folder: Path) -> bool:
    """Wait for the end of what was started; at most a while."""
    end = time.monotonic() + 20
    while left_behind(folder) and time.monotonic() < end:
        time.sleep(0.02)
    return not left_behind(folder)


DEEDS = sorted(deeds(Path()))


@pytest.mark.parametrize("deed", DEEDS)
def test_one_that_misbehaves_costs_its_own_platform_and_leaves_nothing_behind(
    deed: str, tmp_path: Path
) -> None:
    publishers = {"good": lambda: Good("good"), "bad": lambda: Bad("bad", deeds(tmp_path)[deed])}
    with crew_of(publishers) as crew:
        good, bad = both(crew, prepare)
        assert isinstance(good, Built), good
        assert isinstance(bad, NotReady), bad
        good, bad = both(crew, read)
        assert isinstance(good, Receipt), good
        assert isinstance(bad, OutcomeUnknown), bad
        good, bad = both(crew, find)
        assert isinstance(good, Receipt), good
        assert isinstance(bad, CannotTell), bad
    assert is_clean(tmp_path)


def never_starts() -> Any:
    time.sleep(600)


def is_broken() -> Any:
    raise LaunchdayError("The publisher for bad does not start: ImportError")


def takes_the_process_along() -> Any:
    os._exit(7)


def is_nothing() -> Any:
    return None


@pytest.mark.parametrize("made", [never_starts, is_broken, takes_the_process_along, is_nothing])
def test_one_that_does_not_start_costs_its_own_platform(
    made: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "HELLO", SOON)
    with crew_of({"good": lambda: Good("good"), "bad": made}) as crew:
        good, bad = both(crew, prepare)
        assert isinstance(good, Built)
        assert isinstance(bad, NotReady)
        assert ask(crew, find("bad"))[0].code == "publisher"
        # No reason to ask a person yet, as one that is not installed at all would be: another start may do.
        assert crew.capability("bad") is Capability.LISTING
        assert crew.capability("absent") is Capability.WRITE_ONLY


def test_answers_are_those_of_the_calls_and_in_their_order() -> None:
    with crew_of({"one": lambda: Good("one"), "two": lambda: Good("two")}) as crew:
        calls = [prepare(p, f"words {n}") for n in range(120) for p in ("one", "two")]
        answers = ask(crew, *calls, within=60)
        assert [a.prepared.content.text for a in answers] == [c.outgoing.content.text for c in calls]
        assert [dict(a.request.headers)["key"] for a in answers] == [c.outgoing.key for c in calls]
        assert {a.token for a in answers} == {TOKEN}
        assert len({a.prepared.handles["pid"] for a in answers}) == 2  # a process for each platform
        replies = ask(crew, *(read("one", str(n).encode()) for n in range(500)), within=60)
        assert [r.remote_id for r in replies] == [str(n) for n in range(500)]


def test_one_call_that_hangs_does_not_cost_the_others_of_its_platform() -> None:
    class Mixed(Good):
        def prepare(self, outgoing: Outgoing, account: Account, http: Any) -> Prepared:
            if outgoing.content.text == "bad":
                time.sleep(600)
            return super().prepare(outgoing, account, http)

    with crew_of({"mixed": lambda: Mixed("mixed")}) as crew:
        answers = ask(crew, *(prepare("mixed", t) for t in ("a", "bad", "b")), within=6)
        assert [type(a) for a in answers] == [Built, NotReady, Built]
        (later,) = ask(crew, read("mixed"), within=60)  # a new worker does what is left to do
        assert isinstance(later, Receipt)


def test_a_worker_is_started_again_a_few_times_and_then_given_up(tmp_path: Path) -> None:
    def started() -> Any:
        (tmp_path / f"start-{os.getpid()}").touch()
        return Bad("bad", lambda: os._exit(1))

    with crew_of({"bad": started}) as crew:
        for _ in range(STARTS + 3):
            assert isinstance(ask(crew, prepare("bad"))[0], NotReady)
    assert len(list(tmp_path.glob("start-*"))) == STARTS


def test_pictures_reach_the_publisher(tmp_path: Path) -> None:
    picture = Media("media/a.png", sha256(b"a picture"), "A poster", "image/png", 9, 1, 1)
    with crew_of({"one": lambda: Good("one")}) as crew:
        (built,) = ask(crew, prepare("one", media=(picture,)), within=60)
    assert built.prepared.handles["sizes"] == [9]


def test_a_worker_sees_no_secret_but_that_of_the_account_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither in its environment nor in the block that the kernel shows of it."""
    monkeypatch.setenv("OTHER_TOKEN", "another-canary-91c2")
    monkeypatch.setenv("LAUNCHDAY_DATABASE_URL", "postgresql://me:another-canary-91c2@host/db")

    class Curious(Good):
        def prepare(self, outgoing: Outgoing, account: Account, http: Any) -> Prepared:
            seen = sorted(os.environ)
            block = Path("/proc/self/environ").read_bytes()
            handles = {
                "names": seen,
                "found": b"another-canary" in block,
                "files": os.listdir("/proc/self/fd"),
            }
            return Prepared(outgoing.content, account, handles)

    with crew_of({"one": lambda: Curious("one")}) as crew:
        (built,) = ask(crew, prepare("one"), within=60)
    handles = built.prepared.handles
    assert not {"OTHER_TOKEN", "LAUNCHDAY_DATABASE_URL"} & set(handles["names"])
    assert "PATH" in handles["names"]
    assert not handles["found"]
    assert len(handles["files"]) <= 5  # three that lead nowhere, its socket, and the folder it lists


def test_a_secret_that_cannot_be_read_costs_only_its_account() -> None:
    def secret(one: Account) -> str:
        if one.platform == "bad":
            raise SecretError("the environment has no BAD")
        return TOKEN

    with crew_of({"good": lambda: Good("good"), "bad": lambda: Good("bad")}, secret=secret) as crew:
        good, bad = ask(crew, prepare("good"), prepare("bad"), within=60)
    assert isinstance(good, Built)
    assert (bad.code, bad.detail) == ("secret", "the environment has no BAD")


def test_the_token_in_an_answer_does_not_get_out_of_its_worker() -> None:
    class Talks(Good):
        def find(self, *_: Any) -> Receipt | None:
            raise CannotTell("odd", f"I was given {TOKEN}")

    with crew_of({"one": lambda: Talks("one")}) as crew:
        (answer,) = ask(crew, find("one"), within=60)
    assert (type(answer), answer.detail) == (CannotTell, "I was given [token]")


def test_all_of_it_ends_with_the_sender_even_when_that_is_killed(tmp_path: Path) -> None:
    """The process that holds the other end is gone: no lifeline, no worker, nothing that one has started."""
    pid = os.fork()
    if pid == 0:
        publishers = {"bad": lambda: Bad("bad", deeds(tmp_path)["runs_away"])}
        with contextlib.suppress(BaseException), crew_of(publishers) as crew:
            crew.ask([prepare("bad")], time.time() + 600)
        os._exit(1)
    end = time.monotonic() + 20
    while not left_behind(tmp_path) and time.monotonic() < end:
        time.sleep(0.02)
    assert left_behind(tmp_path)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert is_clean(tmp_path)


def test_limits_are_set_before_foreign_code_runs() -> None:
    import resource

    class Measured(Good):
        def prepare(self, outgoing: Outgoing, account: Account, http: Any) -> Prepared:
            names = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_FSIZE")
            found = {n: resource.getrlimit(getattr(resource, n))[1] for n in names}
            return Prepared(
                outgoing.content, account, found | {"umask": os.umask(0o077), "sid": os.getsid(0)}
            )

    with crew_of({"one": lambda: Measured("one")}) as crew:
        (built,) = ask(crew, prepare("one"), within=60)
    found = dict(built.prepared.handles)
    assert (found["RLIMIT_CPU"], found["RLIMIT_NOFILE"], found["RLIMIT_CORE"]) == (
        limits.CPU,
        limits.FILES,
        0,
    )
    assert 0 < found["RLIMIT_DATA"] < 4 * limits.MEMORY
    assert 0 < found["RLIMIT_AS"] < 3 * limits.ADDRESSES
    assert found["umask"] == 0o077
    assert found["sid"] != os.getsid(0)
