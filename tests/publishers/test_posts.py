"""Posts that are out: every publisher looks at one by its id and removes it, on platforms with faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from scheduler.domain.publisher import Http, OpensSession, Prepared, Publisher, ReadsBack, Receipt, Retracts
from scheduler.errors import CannotTell, OutcomeUnknown, PublishError, Rejected, Unauthorised
from scheduler.publishers.registry import load
from scheduler.publishers.simulated import process
from scheduler.transport.http import Transport

from .samples import KEY, WORDS, account, content, media, outgoing
from .scripted import Answer, Scripted, Seen

PLATFORMS = ("bluesky", "facebook", "mastodon", "x")
platforms = pytest.mark.parametrize("platform", PLATFORMS)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Running]:
    started = process.start(tmp_path_factory.mktemp("posts"))
    yield started
    started.stop()


@dataclass
class Out:
    """A post that is out, and everything needed to follow it."""

    publisher: Any
    prepared: Prepared
    receipt: Receipt
    http: Http

    def look(self) -> Any:
        return self.publisher.look(self.prepared, self.receipt, self.http)

    def retract(self) -> None:
        self.publisher.retract(self.prepared, self.receipt, self.http)


@pytest.fixture
def publish(running: process.Running, transport: Transport) -> Iterator[Callable[[str, str], Out]]:
    def of(platform: str, words: str) -> Out:
        publisher: Publisher = load([platform])[platform]
        assert isinstance(publisher, ReadsBack)
        assert isinstance(publisher, Retracts)
        url, token = running.servers[platform], f"sim:dorset/{platform}"
        mine = account(platform, url)
        if isinstance(publisher, OpensSession):
            token = publisher.open_session(mine, token, transport.http(url))
        http = transport.http(url, token)
        made = content(platform, words, media=(media(), media("another")))
        prepared = publisher.prepare(outgoing(made), mine, http)
        key = f"{KEY}-{sum(words.encode())}"
        reply = http.send(publisher.request(prepared, key))
        return Out(publisher, prepared, publisher.receipt(prepared, reply), http)

    yield of
    running.faults([])


@platforms
def test_a_post_as_approved_is_seen_without_a_difference(
    platform: str, publish: Callable[[str, str], Out]
) -> None:
    seen = publish(platform, f"{WORDS} <&> “seen” 👨‍👩‍👧‍👦").look()
    assert (seen is not None, seen.differs) == (True, "")


@platforms
def test_other_words_are_seen_as_a_difference(
    platform: str, publish: Callable[[str, str], Out], running: process.Running
) -> None:
    running.faults([{"fault": "wrong_text", "platform": platform}])
    assert "words" in publish(platform, f"{WORDS} differs").look().differs


@platforms
def test_a_removed_post_is_gone_and_removing_it_again_is_harmless(
    platform: str, publish: Callable[[str, str], Out]
) -> None:
    out = publish(platform, f"{WORDS} removed")
    out.retract()
    assert out.look() is None
    out.retract()
    assert out.look() is None


@pytest.mark.parametrize("platform", ["mastodon", "x"])
def test_a_404_to_a_removal_is_no_error_and_no_proof(
    platform: str, publish: Callable[[str, str], Out], running: process.Running
) -> None:
    out = publish(platform, f"{WORDS} kept")
    running.faults([{"fault": "refuse", "code": 404, "platform": platform, "step": "retract", "times": -1}])
    out.retract()
    assert out.look() is not None


@platforms
@pytest.mark.parametrize("done", [True, False])
def test_a_lost_removal_is_unknown_and_the_look_tells(
    platform: str, done: bool, publish: Callable[[str, str], Out], running: process.Running
) -> None:
    out = publish(platform, f"{WORDS} lost {done}")
    running.faults([{"fault": "drop_reply", "done": done, "platform": platform, "step": "retract"}])
    with pytest.raises(OutcomeUnknown):
        out.retract()
    assert (out.look() is None) is done


BROKEN = [
    Answer(200, b"<html>welcome</html>"),
    Answer(200, {"id": "another", "uri": "at://another", "data": {"id": "another"}}),
    Answer(404, b"<html>a proxy says no</html>"),
    Answer(410, b""),
    Answer(401, {"error": "Unauthorized"}),
    Answer(403, {"errors": [{"type": "https://x/not-authorized-for-resource", "value": "1"}]}),
    Answer(429, b"", (("Retry-After", "60"),)),
    Answer(500, {"error": "RecordNotFound"}),
    Answer(400, {"error": {"code": 190, "message": "no"}}),
    Answer(cut=True),
]


@platforms
@pytest.mark.parametrize("broken", BROKEN, ids=lambda a: "cut" if a.cut else f"{a.status} {a.body!r:.24}")
def test_a_look_that_was_not_answered_never_says_that_the_post_is_gone(
    platform: str,
    broken: Answer,
    publish: Callable[[str, str], Out],
    serve: Callable[[Callable[[Seen], Answer]], Scripted],
    transport: Transport,
) -> None:
    out = publish(platform, f"{WORDS} {json.dumps(str(broken.body))[:30]} {broken.status} {broken.cut}")
    server = serve(lambda _: broken)
    out.prepared = elsewhere(out.prepared, server.url)
    out.http = transport.http(server.url, "token")
    with pytest.raises(CannotTell):
        out.look()


def elsewhere(before: Prepared, url: str) -> Prepared:
    return replace(before, account=replace(before.account, server=url))


def test_facebook_is_not_believed_about_a_post_that_its_own_list_has(
    publish: Callable[[str, str], Out],
    serve: Callable[[Callable[[Seen], Answer]], Scripted],
    transport: Transport,
) -> None:
    """Graph has one error for "gone" and for "not for this token"."""
    out = publish("facebook", f"{WORDS} listed")
    gone = {"error": {"code": 100, "error_subcode": 33, "message": "does not exist"}}

    def answer(seen: Seen) -> Answer:
        if seen.path.endswith("/published_posts"):
            return Answer(200, {"data": [{"id": out.receipt.remote_id}]})
        return Answer(400, gone)

    server = serve(answer)
    out.prepared, out.http = elsewhere(out.prepared, server.url), transport.http(server.url, "token")
    with pytest.raises(CannotTell):
        out.look()


@platforms
@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthorised), (500, OutcomeUnknown), (429, PublishError)]
)
def test_what_a_removal_is_refused_is_said_in_the_ports_words(
    platform: str,
    status: int,
    error: type[PublishError],
    publish: Callable[[str, str], Out],
    serve: Callable[[Callable[[Seen], Answer]], Scripted],
    transport: Transport,
) -> None:
    out = publish(platform, f"{WORDS} refused {status}")
    server = serve(lambda _: Answer(status, {"error": "InvalidToken", "title": "no", "detail": "no"}))
    out.prepared, out.http = elsewhere(out.prepared, server.url), transport.http(server.url, "token")
    with pytest.raises(error):
        out.retract()


def test_x_says_who_may_not_remove(publish: Callable[[str, str], Out], running: process.Running) -> None:
    out = publish("x", f"{WORDS} mine")
    running.faults([{"fault": "refuse", "code": 403, "platform": "x", "step": "retract"}])
    with pytest.raises(Rejected):
        out.retract()
