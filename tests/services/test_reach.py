"""What a publisher answers is believed only in the form that was asked for; the rest costs only itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.domain.content import Content
from scheduler.domain.publisher import Capability, Http, Outgoing, Prepared, Receipt, Reply, Request
from scheduler.errors import (
    CannotTell,
    NotReady,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Rejected,
    RetryLater,
    Unauthorised,
)
from scheduler.services.approved_words import says
from scheduler.services.calls import Built, Find, Prepare, Read, Remove
from scheduler.services.reach import Reach
from scheduler.transport.http import Transport

from .house import ACCOUNTS, LAUNCH

TOKEN = "canary-token-4f9a1c7e2b8d6053"
WORDS = "Ask for help. It works!"
SOON = LAUNCH.timestamp()
RECORD = ACCOUNTS[0]
CONTENT = Content(RECORD.organisation, RECORD.id, RECORD.platform, RECORD.address, WORDS)
PREPARED = Prepared(CONTENT, RECORD, {"id": "1"})
REPLY = Reply(200, {}, b"{}")
RECEIPT = Receipt("1", "https://fake.example/1")


class Odd:
    """A publisher that answers what the test says."""

    platform = RECORD.platform
    server = "https://fake.example"
    capability = Capability.RECORD

    def __init__(self, **answers: Any) -> None:
        request = Request("POST", f"{self.server}/posts", (), json.dumps({"status": WORDS}).encode())
        self.answers = {"prepare": PREPARED, "request": request, "receipt": RECEIPT, "find": None, **answers}

    def _say(self, what: str) -> Any:
        answer = self.answers[what]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def prepare(self, outgoing: Outgoing, account: Any, http: Http) -> Prepared:
        return self._say("prepare")  # type: ignore[no-any-return]

    def request(self, prepared: Prepared, key: str) -> Request:
        return self._say("request")  # type: ignore[no-any-return]

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        return self._say("receipt")  # type: ignore[no-any-return]

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        return self._say("find")  # type: ignore[no-any-return]


def reach(**answers: Any) -> Reach:
    return Reach({RECORD.platform: Odd(**answers)}, Transport(now=lambda: 0.0), lambda a: a, lambda a: TOKEN)


def outgoing() -> Outgoing:
    return Outgoing(CONTENT, "key", LAUNCH, lambda m: b"")


def prepare(**answers: Any) -> Built | PublishError:
    (answer,) = reach(**answers).ask([Prepare(RECORD, outgoing())], SOON)
    return answer


def read(**answers: Any) -> Receipt | PublishError:
    (answer,) = reach(**answers).ask([Read(RECORD, PREPARED, REPLY)], SOON)
    return answer


def find(**answers: Any) -> Receipt | PublishError | None:
    (answer,) = reach(**answers).ask([Find(RECORD, PREPARED, "key", datetime(2027, 1, 1, tzinfo=UTC))], SOON)
    return answer


def test_a_publisher_that_answers_properly_is_believed() -> None:
    built = prepare()
    assert isinstance(built, Built)
    assert (built.prepared, built.token) == (PREPARED, TOKEN)
    assert (read(), find(find=RECEIPT), find()) == (RECEIPT, RECEIPT, None)


@pytest.mark.parametrize("error", [NotSent("dns"), NotReady("later"), CannotTell("no"), PublishError("odd")])
def test_after_the_bytes_left_no_publisher_can_say_that_they_did_not(error: PublishError) -> None:
    """Were "not sent" believed here, the post would be sent a second time."""
    answer = read(receipt=error)
    assert (type(answer), getattr(answer, "code", "")) == (OutcomeUnknown, "publisher")


@pytest.mark.parametrize(
    "error", [Rejected("no"), Unauthorised("no"), RetryLater("429"), OutcomeUnknown("x")]
)
def test_what_the_port_lets_it_say_of_a_reply_is_taken(error: PublishError) -> None:
    assert read(receipt=error) is error


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        True,
        {},
        "1",
        Receipt("", ""),
        Receipt(7, ""),
        Receipt("1", "u", {"a": 1}),
        Receipt("1" * 9999, ""),
    ],
)
def test_a_receipt_that_is_none_leaves_the_outcome_unknown(nonsense: Any) -> None:
    assert isinstance(read(receipt=nonsense), OutcomeUnknown)
    if nonsense is not None:
        assert isinstance(find(find=nonsense), CannotTell)


@pytest.mark.parametrize("broke", [ZeroDivisionError(), SystemExit(3), MemoryError(), RecursionError()])
def test_whatever_it_raises_is_the_answer_to_its_own_call(broke: BaseException) -> None:
    assert isinstance(prepare(prepare=broke), NotReady)
    assert isinstance(prepare(request=broke), NotReady)
    assert isinstance(read(receipt=broke), OutcomeUnknown)
    assert isinstance(find(find=broke), CannotTell)


OTHER = Content("charity", "charity/record", "record", "", WORDS)
BAD: dict[str, dict[str, Any]] = {
    "nothing": {"prepare": None},
    "another delivery's words": {"prepare": replace(PREPARED, content=replace(CONTENT, text="other words"))},
    "another account": {"prepare": replace(PREPARED, account=ACCOUNTS[-1])},
    "another content": {"prepare": replace(PREPARED, content=OTHER)},
    "handles that cannot be stored": {"prepare": replace(PREPARED, handles={"a": object()})},
    "too many handles": {"prepare": replace(PREPARED, handles={"a": "x" * 100_000})},
    "the token in its handles": {"prepare": replace(PREPARED, handles={"a": TOKEN})},
    "no request": {"request": b"POST / HTTP/1.1"},
    "a request with other words": {"request": Request("POST", "https://fake.example", (), b'{"s":"buy"}')},
    "a request with words added": {
        "request": Request("POST", "https://fake.example", (), f"{WORDS} And buy".encode())
    },
    "the token in the address": {
        "request": Request("POST", f"https://fake.example/?t={TOKEN}", (), WORDS.encode())
    },
    "headers that are none": {"request": Request("POST", "https://fake.example", [1], WORDS.encode())},  # type: ignore[arg-type]
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_not_this_delivery_is_not_ready(bad: dict[str, Any]) -> None:
    answer = prepare(**bad)
    assert (type(answer), getattr(answer, "code", "")) == (NotReady, "publisher")
    assert TOKEN not in str(answer)


def test_a_token_that_a_publisher_echoes_does_not_reach_the_log() -> None:
    said = prepare(prepare=Rejected("refused", f"Bearer {TOKEN} is no good"))
    assert str(said) == "refused: Bearer [token] is no good"


def test_a_platform_without_a_publisher_costs_only_its_own_calls() -> None:
    calls = [Prepare(RECORD, outgoing()), Prepare(replace(RECORD, platform="gone"), outgoing())]
    good, missing = reach().ask(calls, SOON)
    assert isinstance(good, Built)
    assert isinstance(missing, NotReady)
    assert reach().capability("gone") is Capability.WRITE_ONLY


def test_a_platform_that_cannot_remove_says_so() -> None:
    (answer,) = reach().ask([Remove(RECORD, PREPARED, RECEIPT)], SOON)
    assert isinstance(answer, Rejected)


def form(body: str) -> Request:
    return Request(
        "POST", "https://x.example", (("Content-Type", "application/x-www-form-urlencoded"),), body.encode()
    )


PARTS = (("Content-Type", "multipart/form-data; boundary=b1"),)
CARRIES: dict[str, Callable[[str], Request]] = {
    "json": lambda t: Request("POST", "https://x.example", (), json.dumps({"a": [{"text": t}]}).encode()),
    "form": lambda t: form(f"a=1&message={t.replace(' ', '+')}"),
    "address": lambda t: Request("GET", f"https://x.example/?text={t.replace(' ', '%20')}"),
    "escaped": lambda t: Request(
        "POST", "https://x.example", (), json.dumps({"c": t.replace(".", "\\.")}).encode()
    ),
    "plain": lambda t: Request("POST", "https://x.example", (), t.encode()),
    "parts": lambda t: Request(
        "POST", "https://x.example", PARTS, f"--b1\r\nA: b\r\n\r\n{t}\r\n--b1--".encode()
    ),
}


@pytest.mark.parametrize("carry", CARRIES.values(), ids=CARRIES)
def test_the_approved_words_are_found_in_every_form_of_request(carry: Callable[[str], Request]) -> None:
    assert says(carry(WORDS), WORDS)
    assert not says(carry("Ask for nothing."), WORDS)
    assert not says(carry(f"{WORDS} Now"), WORDS)
