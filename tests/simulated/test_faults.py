"""Every scripted fault, as "failed" and as "failed, but done", met over a plain socket."""

import itertools
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scheduler.publishers.simulated import ledger, process
from scheduler.publishers.simulated.faults import KINDS, PRESETS, Rule, Script
from simulated.client import Client, png
from simulated.test_bluesky import put, record

Entries = Callable[[], list[ledger.Entry]]
ALL = pytest.mark.parametrize("platform", ["mastodon", "x", "facebook", "bluesky"])


def raw(client: Client, method: str, path: str, body: Any) -> bytes:
    data = json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Authorization: Bearer {client.token}",
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def publishing(client: Any, platform: str, text: str = "Words") -> bytes:
    """The platform's publishing request as bytes."""
    if platform == "bluesky":
        body = {"repo": client.did, "collection": "app.bsky.feed.post", "rkey": "3jzfcijpj2z2a"}
        return raw(client, "POST", "/xrpc/com.atproto.repo.putRecord", {**body, "record": record(text)})
    path = {"mastodon": "/api/v1/statuses", "x": "/2/tweets", "facebook": "/1000000001/feed"}[platform]
    name = {"mastodon": "status", "x": "text", "facebook": "message"}[platform]
    if platform == "facebook":
        path = f"/{abs(hash(client.token)) % 10**12}/feed"
    return raw(client, "POST", path, {name: text})


def meet(client: Client, request: bytes, timeout: float = 30) -> tuple[bytes, bool]:
    """What came back before the end, and whether the end was a reset."""
    host, port = client.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as wire:
        wire.sendall(request)
        got = b""
        try:
            while True:
                more = wire.recv(65536)
                if not more:
                    return got, False
                got += more
                head, gap, body = got.partition(b"\r\n\r\n")
                if gap and b"Content-Length: " in head:
                    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                    if len(body) == length:
                        return got, False
        except ConnectionResetError:
            return got, True


def status(reply: bytes) -> int:
    return int(reply.split(b" ")[1]) if reply else 0


@pytest.fixture
def client(request: pytest.FixtureRequest, platform: str) -> Any:
    return request.getfixturevalue(platform)


@ALL
@pytest.mark.parametrize(
    ("fault", "reset", "answer", "done"),
    [
        ({"fault": "reset_before"}, True, 0, False),
        ({"fault": "reset_after"}, True, 0, True),
        ({"fault": "drop_reply"}, False, 0, True),
        ({"fault": "drop_reply", "done": False}, False, 0, False),
        ({"fault": "http_5xx_before", "status": 502}, False, 502, False),
        ({"fault": "http_5xx_after", "status": 504}, False, 504, True),
        ({"fault": "throttle"}, False, 429, False),
        ({"fault": "redirect"}, False, 307, False),
        ({"fault": "stall", "seconds": 0.01, "done": False}, False, 0, False),
    ],
    ids=lambda value: value.get("fault") if isinstance(value, dict) else None,
)
def test_a_fault_does_what_it_says_and_no_more(
    client: Any,
    platform: str,
    faults: Callable,
    entries: Entries,
    fault: dict,
    reset: bool,
    answer: int,
    done: bool,
) -> None:
    faults(fault)
    reply, was_reset = meet(client, publishing(client, platform))
    assert (was_reset, status(reply)) == (reset, answer)
    assert len(entries()) == done
    # The fault was for one request: the next one is served.
    after, _ = meet(client, publishing(client, platform, "Other words"))
    assert status(after) in (200, 201)


@ALL
def test_a_reply_is_cut_half_way_though_the_post_is_out(
    client: Any, platform: str, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "cut_reply"})
    reply, reset = meet(client, publishing(client, platform))
    assert reply.startswith(b"HTTP/1.1 20")
    assert not reset
    with pytest.raises(ValueError, match=r".*"):
        json.loads(reply.partition(b"\r\n\r\n")[2])
    assert len(entries()) == 1


@ALL
def test_a_reply_that_is_no_json_comes_with_a_good_status(
    client: Any, platform: str, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "invalid_json"})
    reply, _ = meet(client, publishing(client, platform))
    assert status(reply) in (200, 201)
    assert reply.endswith(b"-->")
    assert len(entries()) == 1


@ALL
@pytest.mark.parametrize("done", [True, False])
def test_a_stall_without_end_gives_no_byte(
    client: Any, platform: str, faults: Callable, entries: Entries, done: bool
) -> None:
    faults({"fault": "stall", "done": done})
    host, port = client.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=0.2) as wire:
        wire.sendall(publishing(client, platform))
        with pytest.raises(TimeoutError):
            wire.recv(1)
    assert len(entries()) == done


@ALL
def test_a_stall_that_ends_gives_the_reply_late(
    client: Any, platform: str, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "stall", "seconds": 0.05})
    reply, _ = meet(client, publishing(client, platform))
    assert status(reply) in (200, 201)
    assert len(entries()) == 1


def test_a_reply_trickles_in_byte_by_byte(mastodon: Client, faults: Callable) -> None:
    faults({"fault": "trickle", "seconds": 0.0001})
    reply, _ = meet(mastodon, publishing(mastodon, "mastodon"))
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["content"] == "<p>Words</p>"


@ALL
def test_a_late_commit_appears_after_the_connection_has_ended(
    client: Any, platform: str, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "late_commit", "seconds": 0.3})
    reply, reset = meet(client, publishing(client, platform))
    assert (reply, reset, entries()) == (b"", False, [])
    while not entries():  # the runner's own time limit ends this where it never comes
        Client(client.address).get("/_sim/ledger")
    assert len(entries()) == 1


@ALL
def test_the_words_that_are_stored_may_be_others(
    client: Any, platform: str, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "wrong_text"})
    meet(client, publishing(client, platform))
    assert [entry.text for entry in entries()] == ["Word…"]


def test_a_lagging_reader_does_not_see_the_post_yet(
    mastodon: Client, x: Client, bluesky: Any, faults: Callable
) -> None:
    faults({"fault": "read_lag", "seconds": 3600, "times": -1})
    made = mastodon.post("/api/v1/statuses", {"status": "Lag"}).body["id"]
    assert mastodon.get(f"/api/v1/statuses/{made}").status == 404
    assert x.post("/2/tweets", {"text": "Lag"}).status == 201
    assert x.post("/2/tweets", {"text": "Lag"}).status == 403, "the writer knows its duplicates at once"
    user = x.get("/2/users/me").body["data"]["id"]
    assert x.get(f"/2/users/{user}/tweets").body["meta"]["result_count"] == 0
    put(bluesky, record("Lag"))
    where = f"repo={bluesky.did}&collection=app.bsky.feed.post&rkey=3jzfcijpj2z2a"
    assert bluesky.get(f"/xrpc/com.atproto.repo.getRecord?{where}").status == 400


def test_the_lag_ends(sim: process.Running, mastodon: Client, faults: Callable) -> None:
    faults({"fault": "read_lag", "seconds": 60})
    made = mastodon.post("/api/v1/statuses", {"status": "Lag"}).body["id"]
    sim.advance(61)
    assert mastodon.get(f"/api/v1/statuses/{made}").status == 200


def test_a_picture_may_never_be_ready(mastodon: Client, x: Client, faults: Callable) -> None:
    faults({"fault": "not_processed", "step": "media", "times": 2})
    made = mastodon.upload("/api/v2/media", {}, "file", png(4))
    assert made.status == 202
    assert {mastodon.get(f"/api/v1/media/{made.body['id']}").status for _ in range(5)} == {206}
    stuck = x.upload("/2/media/upload", {"media_category": "tweet_image"}, "media", png(4)).body["data"]
    where = f"/2/media/upload?command=STATUS&media_id={stuck['id']}"
    assert {x.get(where).body["data"]["processing_info"]["state"] for _ in range(5)} == {"in_progress"}


def test_a_picture_may_take_its_time(x: Client, faults: Callable) -> None:
    faults({"fault": "slow_media", "step": "media", "polls": 2})
    made = x.upload("/2/media/upload", {"media_category": "tweet_image"}, "media", png(4)).body["data"]["id"]
    assert x.post("/2/tweets", {"text": "Early", "media": {"media_ids": [made]}}).status == 400
    seen = [x.get(f"/2/media/upload?command=STATUS&media_id={made}").body["data"] for _ in range(2)]
    assert ["processing_info" in one for one in seen] == [True, False]
    assert x.post("/2/tweets", {"text": "Ready", "media": {"media_ids": [made]}}).status == 201


@pytest.mark.parametrize(("code", "status_"), [(506, 400), (368, 400), (200, 403), (190, 400)])
def test_facebook_refuses_with_its_own_codes(
    facebook: Client, faults: Callable, code: int, status_: int
) -> None:
    faults({"fault": "refuse", "code": code})
    reply = facebook.post("/77/feed", {"message": "No"})
    assert (reply.status, reply.body["error"]["code"]) == (status_, code)


def test_facebook_says_500_code_2_for_a_post_that_went_live(
    facebook: Client, faults: Callable, entries: Entries
) -> None:
    faults({"fault": "http_5xx_after"})
    reply = facebook.post(f"/{abs(hash(facebook.token))}/feed", {"message": "Live"})
    assert (reply.status, reply.body["error"]["code"]) == (500, 2)
    assert len(entries()) == 1


def test_each_platform_says_429_in_its_own_headers(
    mastodon: Client, x: Client, bluesky: Any, facebook: Client, faults: Callable
) -> None:
    faults({"fault": "throttle", "times": -1, "retry_after_s": 2})
    assert mastodon.post("/api/v1/statuses", {"status": "No"}).headers["x-ratelimit-reset"].endswith("Z")
    assert x.post("/2/tweets", {"text": "No"}).headers["x-rate-limit-remaining"] == "0"
    assert put(bluesky, record("No")).headers["ratelimit-reset"].isdigit()
    reply = facebook.post("/78/feed", {"message": "No"})
    assert (reply.headers["retry-after"], reply.body["error"]["code"]) == ("2", 32)


def test_a_rate_limit_holds_for_its_window_and_each_account(
    sim: process.Running, x: Client, faults: Callable
) -> None:
    faults({"fault": "limit", "limit": 2, "seconds": 900})
    other = Client(sim.servers["x"], x.token + "-2")
    assert [x.post("/2/tweets", {"text": f"Number {n}"}).status for n in range(4)] == [201, 201, 429, 429]
    assert other.post("/2/tweets", {"text": "Not limited"}).status == 201
    sim.advance(900)
    assert x.post("/2/tweets", {"text": "Number 4"}).status == 201


def test_a_redirect_leads_to_another_port(sim: process.Running, mastodon: Client, faults: Callable) -> None:
    faults({"fault": "redirect", "to": "x"})
    reply = mastodon.post("/api/v1/statuses", {"status": "No"})
    assert reply.headers["location"] == sim.servers["x"] + "/api/v1/statuses"


def test_a_login_may_fail_too(sim: process.Running, faults: Callable) -> None:
    faults({"fault": "http_5xx_before", "step": "session", "platform": "bluesky", "status": 503})
    body = {"identifier": "late.example", "password": "sim:late/bsky"}
    client = Client(sim.servers["bluesky"])
    where = "/xrpc/com.atproto.server.createSession"
    assert [client.post(where, body).status for _ in range(2)] == [503, 200]


def test_rules_are_met_in_order_and_wait_their_skips() -> None:
    script = Script.parse(
        [
            {"fault": "throttle", "skip": 1},
            {"fault": "drop_reply", "times": 2},
            {"fault": "trickle", "platform": "x"},
        ]
    )
    met = [script.take("mastodon", "a/b", "publish") for _ in range(5)]
    assert [rule.fault if rule else "" for rule in met] == ["drop_reply", "throttle", "drop_reply", "", ""]
    assert script.fired() == [1, 2, 0]


def test_a_rule_may_count_for_each_account() -> None:
    script = Script.parse([{"fault": "throttle", "each": True}])
    met = [script.take("x", account, "publish") is not None for account in ("a/x", "b/x", "a/x", "b/x")]
    assert met == [True, True, False, False]


def test_a_share_of_the_accounts_is_the_same_in_every_run() -> None:
    rule = Rule.parse({"fault": "throttle", "share": 0.3})
    hit = [n for n in range(1000) if rule.meets("x", f"org-{n}/x", "publish")]
    assert 250 < len(hit) < 350
    assert hit == [n for n in range(1000) if rule.meets("x", f"org-{n}/x", "publish")]


@pytest.mark.parametrize(
    "wrong", [{"fault": "nonsense"}, {"fault": "throttle", "time": 2}, "throttle", {"times": 1}]
)
def test_a_rule_that_cannot_be_read_is_refused(sim: process.Running, wrong: Any) -> None:
    with pytest.raises(ValueError, match="fault"):
        sim.faults([wrong])


def test_launch_day_hits_every_platform_with_every_kind_of_loss() -> None:
    script = Script.parse(list(PRESETS["launch-day"]))
    platforms = ("mastodon", "bluesky", "x", "facebook")
    met = {
        (platform, rule.fault)
        for org, platform in itertools.product(range(7), platforms)
        if (rule := script.take(platform, f"org-{org}/{platform}", "publish"))
    }
    wanted = ("drop_reply", "throttle", "http_5xx_after", "reset_before", "reset_after")
    assert met == set(itertools.product(platforms, wanted))
    assert all(rule.retry_after_s in (1, 2) for rule in script.rules)


def test_every_kind_of_fault_is_tested_here() -> None:
    source = Path(__file__).read_text()
    assert [kind for kind in KINDS if f'"fault": "{kind}"' not in source] == []


def test_arrivals_tell_what_was_met_and_whether_it_was_done(
    sim: process.Running, x: Client, faults: Callable
) -> None:
    faults({"fault": "reset_before"}, {"fault": "drop_reply"})
    account = x.token.removeprefix("sim:")
    for text in ("One", "Two", "Three"):
        meet(x, publishing(x, "x", text))
    x.post("/2/tweets", {"text": "Three"})
    seen = [a for a in ledger.arrivals(sim.directory) if a.account == account]
    assert [(a.fault, a.status, a.done) for a in seen] == [
        ("reset_before", 0, False),
        ("drop_reply", 0, True),
        ("", 201, True),
        ("", 403, False),
    ]


def test_a_client_that_resets_harms_nobody(mastodon: Client, entries: Entries) -> None:
    host, port = mastodon.address.removeprefix("http://").split(":")
    wire = socket.create_connection((host, int(port)))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.sendall(publishing(mastodon, "mastodon")[:-3])
    wire.close()
    assert mastodon.post("/api/v1/statuses", {"status": "Fine"}).status == 200
    assert len(entries()) == 1


def test_a_naive_sender_makes_duplicates_on_launch_day_and_the_ledger_counts_them(
    sim: process.Running, faults: Callable
) -> None:
    # The positive control: "try again on any error" must show, or the figure `duplicates 0` proves nothing.
    faults(*PRESETS["launch-day"])
    orgs = [f"naive-{n}" for n in range(7)]
    for org, (platform, name, path) in itertools.product(
        orgs, (("mastodon", "status", "/api/v1/statuses"), ("facebook", "message", "/{page}/feed"))
    ):
        client = Client(sim.servers[platform], f"sim:{org}/{platform}")
        where = path.format(page=5000 + orgs.index(org))
        for _ in range(10):
            try:
                if client.post(where, {name: "The launch"}).status == 200:
                    break
            except OSError:
                continue
    made = [e for e in ledger.read(sim.directory) if e.account.startswith("naive-")]
    doubled = {group[0].platform for group in ledger.duplicates(made)}
    assert {e.account for e in made} == {f"{org}/{p}" for org in orgs for p in ("mastodon", "facebook")}
    assert doubled == {"mastodon", "facebook"}
