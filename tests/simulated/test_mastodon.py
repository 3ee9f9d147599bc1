"""The simulated Mastodon refuses what Mastodon refuses."""

import hashlib
from collections.abc import Callable

import pytest

from scheduler.publishers.simulated import process
from simulated.client import Client, Reply, png

POST = "/api/v1/statuses"


def publish(client: Client, text: str, key: str = "", **more: object) -> Reply:
    headers = {"Idempotency_Key": key} if key else {}
    return client.post(POST, {"status": text, **more}, **headers)


def upload(client: Client, seed: int = 0, alt: str = "") -> Reply:
    fields = {"description": alt} if alt else {}
    return client.upload("/api/v2/media", fields, "file", png(seed))


def seed_that_is(ready: bool) -> int:
    """A picture that the server has at once, or one that it processes first."""
    return next(n for n in range(1000) if (hashlib.sha256(png(n)).hexdigest()[0] > "1") is ready)


def test_a_status_is_kept_with_its_words_and_key(mastodon: Client, entries: Callable) -> None:
    reply = publish(mastodon, "Help exists.", "key-1", language="en", visibility="unlisted")
    assert reply.status == 200
    assert reply.body["content"] == "<p>Help exists.</p>"
    (entry,) = entries()
    assert (entry.text, entry.key, entry.remote_id) == ("Help exists.", "key-1", reply.body["id"])
    assert entry.arrived_ns < entry.accepted_ns
    assert entry.record["visibility"] == "unlisted"


def test_the_same_key_gives_the_same_status(mastodon: Client, entries: Callable) -> None:
    first, second = publish(mastodon, "Once", "k"), publish(mastodon, "Once", "k")
    assert first.body["id"] == second.body["id"]
    assert len(entries()) == 1


def test_a_key_lives_for_an_hour(sim: process.Running, mastodon: Client, entries: Callable) -> None:
    publish(mastodon, "Once", "k")
    sim.advance(3601)
    publish(mastodon, "Once", "k")
    assert len(entries()) == 2


def test_without_a_key_the_same_words_are_published_twice(mastodon: Client, entries: Callable) -> None:
    publish(mastodon, "Twice")
    publish(mastodon, "Twice")
    assert len(entries()) == 2


def test_the_key_of_a_deleted_status_finds_nothing(mastodon: Client, entries: Callable) -> None:
    made = publish(mastodon, "Gone", "k").body["id"]
    assert mastodon.send("DELETE", f"{POST}/{made}").body["text"] == "Gone"
    assert publish(mastodon, "Gone", "k").status == 404
    assert entries() == []
    assert mastodon.get(f"{POST}/{made}").status == 404


@pytest.mark.parametrize(
    "text", ["a" * 500, "👨‍👩‍👧" * 500, "https://example.org/" + "a" * 600 + " " + "b" * 476]
)
def test_five_hundred_characters_fit(mastodon: Client, text: str) -> None:
    assert publish(mastodon, text).status == 200


@pytest.mark.parametrize("text", ["a" * 501, "https://example.org/" + "a" * 600 + " " + "b" * 477])
def test_one_more_does_not(mastodon: Client, text: str) -> None:
    reply = publish(mastodon, text)
    assert reply.status == 422
    assert reply.body == {"error": "Validation failed: Text character limit of 500 exceeded"}


def test_a_remote_mention_counts_its_local_part(mastodon: Client) -> None:
    assert publish(mastodon, "@police@a-long-server-name.example " + "a" * 492).status == 200


def test_a_content_warning_counts_too(mastodon: Client) -> None:
    assert publish(mastodon, "a" * 490, spoiler_text="warning " * 2).status == 422


def test_nothing_is_not_a_status(mastodon: Client) -> None:
    reply = publish(mastodon, "  ")
    assert (reply.status, reply.body) == (422, {"error": "Validation failed: Text can't be blank"})


def test_a_picture_that_is_ready_is_attached_with_its_alt_text(mastodon: Client, entries: Callable) -> None:
    made = upload(mastodon, seed_that_is(True), "Poster")
    assert (made.status, made.body["description"]) == (200, "Poster")
    reply = publish(mastodon, "With picture", media_ids=[made.body["id"]])
    assert [m["description"] for m in reply.body["media_attachments"]] == ["Poster"]
    assert entries()[0].media == ((hashlib.sha256(png(seed_that_is(True))).hexdigest(), "Poster"),)


def test_a_picture_that_is_processed_is_202_then_206_then_200(mastodon: Client) -> None:
    made = upload(mastodon, seed_that_is(False))
    assert (made.status, made.body["url"]) == (202, None)
    early = publish(mastodon, "Too early", media_ids=[made.body["id"]])
    assert early.status == 422
    assert "not finished processing" in early.body["error"]
    where = f"/api/v1/media/{made.body['id']}"
    assert [mastodon.get(where).status for _ in range(3)] == [206, 200, 200]
    assert mastodon.get(where).body["url"]
    assert publish(mastodon, "In time", media_ids=[made.body["id"]]).status == 200


def test_the_alt_text_can_be_corrected_before_posting(mastodon: Client, entries: Callable) -> None:
    made = upload(mastodon, seed_that_is(True), "wrong").body["id"]
    assert (
        mastodon.send("PUT", f"/api/v1/media/{made}", {"description": "right"}).body["description"] == "right"
    )
    publish(mastodon, "Words", media_ids=[made])
    assert entries()[0].media[0][1] == "right"


def test_an_alt_text_has_a_limit(mastodon: Client) -> None:
    assert upload(mastodon, 1, "a" * 1501).status == 422


def test_unknown_attached_and_foreign_pictures_are_refused(sim: process.Running, mastodon: Client) -> None:
    mine = upload(mastodon, seed_that_is(True)).body["id"]
    other = Client(sim.servers["mastodon"], "sim:somebody/else")
    assert publish(mastodon, "Unknown", media_ids=["123"]).status == 422
    assert publish(other, "Not mine", media_ids=[mine]).status == 422
    assert publish(mastodon, "Twice in one", media_ids=[mine, mine]).status == 422
    assert publish(mastodon, "Mine", media_ids=[mine]).status == 200
    again = publish(mastodon, "Again", media_ids=[mine])
    assert (again.status, "already attached" in again.body["error"]) == (422, True)
    assert mastodon.get(f"/api/v1/media/{mine}").status == 404


def test_four_pictures_at_most(mastodon: Client) -> None:
    assert publish(mastodon, "Five", media_ids=["1", "2", "3", "4", "5"]).status == 422


def test_a_broken_picture_is_refused(mastodon: Client) -> None:
    assert mastodon.upload("/api/v2/media", {}, "file", png()[:-9]).status == 422


@pytest.mark.parametrize(
    ("token", "status", "error"),
    [
        ("revoked:a/b", 401, "The access token was revoked"),
        ("noscope:a/b", 403, "This action is outside the authorized scopes"),
        ("nonsense", 401, "The access token is invalid"),
        ("", 401, "The access token is invalid"),
    ],
)
def test_bad_tokens_get_their_own_errors(sim: process.Running, token: str, status: int, error: str) -> None:
    reply = publish(Client(sim.servers["mastodon"], token), "No")
    assert (reply.status, reply.body) == (status, {"error": error})


def test_the_own_statuses_are_listed_newest_first_between_ids(mastodon: Client) -> None:
    me = mastodon.get("/api/v1/accounts/verify_credentials").body["id"]
    ids = [publish(mastodon, f"Number {n}").body["id"] for n in range(4)]
    where = f"/api/v1/accounts/{me}/statuses"
    assert [s["id"] for s in mastodon.get(f"{where}?limit=2").body] == [ids[3], ids[2]]
    assert [s["id"] for s in mastodon.get(f"{where}?since_id={ids[1]}").body] == [ids[3], ids[2]]
    assert [s["id"] for s in mastodon.get(f"{where}?max_id={ids[1]}").body] == [ids[0]]
    assert mastodon.get("/api/v1/accounts/1/statuses").status == 404


def test_the_source_gives_the_words_back_to_their_author_only(sim: process.Running, mastodon: Client) -> None:
    made = publish(mastodon, "A & B\n\nhttps://example.org/").body
    assert "&amp;" in made["content"]
    assert mastodon.get(f"{POST}/{made['id']}/source").body["text"] == "A & B\n\nhttps://example.org/"
    other = Client(sim.servers["mastodon"], "sim:somebody/else")
    assert other.get(f"{POST}/{made['id']}/source").status == 403
    assert other.send("DELETE", f"{POST}/{made['id']}").status == 404


def test_a_reply_needs_its_parent(mastodon: Client, entries: Callable) -> None:
    assert publish(mastodon, "To nothing", in_reply_to_id="1").status == 404
    parent = publish(mastodon, "First").body["id"]
    assert publish(mastodon, "Second", in_reply_to_id=parent).body["in_reply_to_id"] == parent
    assert entries()[1].reply_to == parent


def test_the_instance_says_its_limits_in_both_forms(mastodon: Client) -> None:
    for path in ("/api/v2/instance", "/api/v1/instance"):
        limits = mastodon.get(path).body["configuration"]
        assert limits["statuses"]["max_characters"] == 500
        assert limits["media_attachments"]["description_limit"] == 1500


def test_the_reset_of_the_rate_is_an_iso_time(mastodon: Client) -> None:
    headers = publish(mastodon, "Counted").headers
    assert headers["x-ratelimit-limit"] == "300"
    assert headers["x-ratelimit-reset"].endswith("Z")
    assert "T" in headers["x-ratelimit-reset"]


def test_a_body_that_is_no_json_is_refused(mastodon: Client) -> None:
    assert mastodon.send("POST", POST, b"{", "application/json").status == 400


def test_scheduling_is_not_pretended(mastodon: Client) -> None:
    assert publish(mastodon, "Later", scheduled_at="2030-01-01T00:00:00Z").status == 422
