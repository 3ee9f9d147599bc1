"""E-mail, webhooks, Apprise: only to whom they were meant, encrypted, no word more than was to be said."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scheduler.domain.notify import Mail, Webhook
from scheduler.errors import NotSent
from scheduler.transport import mail as smtp
from scheduler.transport.http import Transport
from scheduler.transport.mail import Letter, NotTold, compose, send_mail
from scheduler.transport.messenger import send_apprise
from scheduler.transport.webhook import post, signature
from tests.mailbox import Mailbox

from .hostile import AUTHORITY, ELSEWHERE, LOOPBACK, Serve, answering, ok

PASSWORD = "canary-password-1"
AT = datetime(2027, 3, 9, tzinfo=UTC)
LETTER = Letter(
    "01KEY.0",
    "jo@dorset.example",
    "Jo Doyle",
    "failed · Übung",
    "Zwei Wörter.\n.\nEnd\n",
    AT,
)
Open = Callable[..., Mailbox]


@pytest.fixture
def trusting() -> Iterator[Transport]:
    made = Transport(ca=str(AUTHORITY))
    yield made
    made.close()


@pytest.fixture
def mailbox() -> Iterator[Open]:
    boxes: list[Mailbox] = []

    def start(certificate: Path | None = LOOPBACK, *, wrapped: bool = False) -> Mailbox:
        boxes.append(Mailbox(certificate, wrapped=wrapped, password=PASSWORD))
        return boxes[-1]

    yield start
    for box in boxes:
        box.stop()


def at(box: Mailbox, tls: str = "starttls") -> Mail:
    return Mail("127.0.0.1", box.port, tls, "launchday@swrocu.example", "post", "cred:smtp")  # type: ignore[arg-type]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_letter_arrives_encrypted_signed_in_and_whole(mailbox: Open, trusting: Transport, tls: str) -> None:
    box = mailbox(wrapped=tls == "tls")
    send_mail(at(box, tls), PASSWORD, LETTER, trusting.dialer.context)
    (kept,) = box.kept
    assert (kept.sender, kept.to, kept.user, kept.encrypted) == (
        "launchday@swrocu.example",
        "jo@dorset.example",
        "post",
        True,
    )
    assert kept.letter["Subject"] == "failed · Übung"
    assert kept.letter["Message-ID"] == "<01KEY.0@swrocu.example>"
    assert kept.letter["Auto-Submitted"] == "auto-generated"
    assert kept.letter["To"] == "Jo Doyle <jo@dorset.example>"
    assert kept.letter.get_content_type() == "text/plain"
    assert kept.letter.get_content().splitlines() == ["Zwei Wörter.", ".", "End"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_server_with_anothers_certificate_gets_neither_password_nor_letter(
    mailbox: Open, trusting: Transport, wrapped: bool
) -> None:
    box = mailbox(ELSEWHERE, wrapped=wrapped)
    with pytest.raises(NotTold, match="certificate"):
        send_mail(at(box, "tls" if wrapped else "starttls"), PASSWORD, LETTER, trusting.dialer.context)
    assert box.kept == []


def test_a_server_that_offers_no_encryption_gets_neither_password_nor_letter(
    mailbox: Open, trusting: Transport
) -> None:
    box = mailbox(None)
    with pytest.raises(NotTold, match="no encryption"):
        send_mail(at(box), PASSWORD, LETTER, trusting.dialer.context)
    assert box.kept == []


@pytest.mark.parametrize(
    ("fault", "kept", "said"),
    [
        ("refused", 0, "answered 451"),
        ("dropped", 0, "closed the connection"),
        ("lost", 1, "closed the connection"),
        ("no_such_user", 0, "refused the address"),
    ],
)
def test_what_went_wrong_is_said_in_our_words(
    mailbox: Open, trusting: Transport, fault: str, kept: int, said: str
) -> None:
    box = mailbox()
    box.fault = fault
    with pytest.raises(NotTold, match=said):
        send_mail(at(box), PASSWORD, LETTER, trusting.dialer.context)
    assert len(box.kept) == kept


def test_a_server_that_repeats_the_password_does_not_bring_it_into_the_error(
    mailbox: Open, trusting: Transport
) -> None:
    with pytest.raises(NotTold) as why:
        send_mail(at(mailbox()), "canary-wrong", LETTER, trusting.dialer.context)
    assert str(why.value) == "the mail server refused the user or the password"
    assert "canary" not in repr(why.value.__context__ and why.value.__cause__)


def test_a_silent_server_is_given_up(
    mailbox: Open, trusting: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "STEP", 0.05)
    box = mailbox()
    box.fault = "silent"
    with pytest.raises(NotTold, match="in time"):
        send_mail(at(box), PASSWORD, LETTER, trusting.dialer.context)


def test_nobody_there(trusting: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gone = Mail("127.0.0.1", port, "starttls", "a@b.example")
    with pytest.raises(NotTold, match="ECONNREFUSED"):
        send_mail(gone, "", LETTER, trusting.dialer.context)


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": "hello\r\nBcc: all@force.example"},
        {"to": "jo@dorset.example, all@force.example"},
        {"to": "jo@dorset.example\r\nBcc: x@y.example"},
        {"name": "Jo\r\nBcc: x@y.example"},
    ],
)
def test_no_text_can_become_a_header_or_another_address(changed: dict[str, str]) -> None:
    mail = Mail("127.0.0.1", 25, "none", "launchday@swrocu.example")
    letter = Letter(**{f: getattr(LETTER, f) for f in Letter.__slots__} | changed)
    with pytest.raises(ValueError, match=r"."):
        compose(mail, letter)


# Webhooks


def public(hook: Webhook, transport: Transport, secret: str = "") -> None:
    post(transport, hook, secret, "01KEY.0", b'{"a":1}', deadline=time.time() + 20)


def test_a_webhook_is_signed_and_carries_its_idempotency_key(trusting: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    public(Webhook(f"{server.url}/hook", private=True), trusting, "canary-key-1")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    assert body == b'{"a":1}'
    assert fields["Idempotency-Key"] == fields["webhook-id"] == "01KEY.0"
    signed = f"01KEY.0.{fields['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.new(b"canary-key-1", signed, hashlib.sha256).digest()).decode()
    assert fields["webhook-signature"] == f"v1,{expected}"
    assert b"canary" not in server.requests[0]
    assert abs(int(fields["webhook-timestamp"]) - time.time()) < 300


def test_the_signature_is_the_one_of_the_published_specification() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = hmac.new(b64decode(secret[6:]), b"msg_1.1614265330.{}", hashlib.sha256).digest()
    assert signature(secret, "msg_1", "1614265330", b"{}") == "v1," + b64encode(signed).decode()
    assert signature("whsec_no base64", "k", "1", b"").startswith("v1,")


@pytest.mark.parametrize(("answer", "said"), [("500 Oh", "answered 500"), ("404 Not Found", "answered 404")])
def test_only_a_2xx_is_an_acceptance(trusting: Transport, serve: Serve, answer: str, said: str) -> None:
    reply = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode()
    server = serve(answering(reply), certificate=LOOPBACK)
    with pytest.raises(NotTold, match=said):
        public(Webhook(server.url, private=True), trusting)


def test_a_redirect_is_not_followed(trusting: Transport, serve: Serve) -> None:
    other = serve(answering(ok()), certificate=LOOPBACK)
    reply = f"HTTP/1.1 307 Elsewhere\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode()
    server = serve(answering(reply), certificate=LOOPBACK)
    with pytest.raises(NotTold, match="redirect"):
        public(Webhook(server.url, private=True), trusting)
    assert other.requests == []


def test_an_address_of_this_machine_gets_nothing_unless_it_is_said_to_be_one(
    trusting: Transport, serve: Serve
) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    with pytest.raises(NotTold, match="private_address"):
        public(Webhook(server.url), trusting)
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("::1", True),
        ("fe80::1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("0.0.0.0", True),
        ("224.0.0.1", True),
        ("1.1.1.1", False),
        ("2606:4700:4700::1111", False),
    ],
)
def test_where_the_connection_ends_decides_and_not_its_name(
    trusting: Transport, address: str, refused: bool
) -> None:
    from scheduler.transport.wire import Origin

    class End(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return address, 443

    with End() as sock:
        origin = Origin("https", "alerts.example", 443)
        if not refused:
            trusting.dialer.must_be_public(sock, origin)
            return
        with pytest.raises(NotSent, match="private_address"):
            trusting.dialer.must_be_public(sock, origin)


# Apprise


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotTold, match=r"launchday\[notify\]"):
        send_apprise("ntfy://canary-1", "a", "b")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own deprecations are not ours
def test_apprise_takes_subject_and_text_and_its_address_is_never_repeated(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apprise")
    server = serve(answering(ok(b"{}")))
    send_apprise(f"json://127.0.0.1:{server.port}/canary-2", "failed", "two words")
    _, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert {k: v for k, v in json.loads(body).items() if k in ("title", "message")} == {
        "title": "failed",
        "message": "two words",
    }
    refusing = serve(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    for address in (f"json://127.0.0.1:{refusing.port}/canary-3", "nothing://canary-4"):
        with pytest.raises(NotTold) as why:
            send_apprise(address, "failed", "two words")
        assert "canary" not in str(why.value)
    assert "canary" not in "".join(capfd.readouterr())


def test_a_service_that_breaks_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("apprise")
    broken.__dict__["Apprise"] = lambda: SimpleNamespace(add=lambda address: 1 / 0)
    monkeypatch.setitem(sys.modules, "apprise", broken)
    with pytest.raises(NotTold, match="ZeroDivisionError"):
        send_apprise("x://", "a", "b")
