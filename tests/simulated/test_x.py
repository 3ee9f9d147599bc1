"""The simulated X refuses what API v2 refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from scheduler.publishers.simulated import process
from simulated.client import Client, Reply, png

TWEETS = "/2/tweets"


def publish(client: Client, text: str, **more: Any) -> Reply:
    return client.post(TWEETS, {"text": text, **more})


def upload(client: Client, seed: int = 0, alt: str = "") -> str:
    fields = {"media_category": "tweet_image", "media_type": "image/png"}
    made = client.upload("/2/media/upload", fields, "media", png(seed)).body["data"]["id"]
    if alt:
        client.post("/2/media/metadata", {"id": made, "metadata": {"alt_text": {"text": alt}}})
    return str(made)


def me(client: Client) -> str:
    return str(client.get("/2/users/me").body["data"]["id"])


def test_a_post_is_created_with_201(x: Client, entries: Callable) -> None:
    reply = publish(x, "Help exists.")
    assert reply.status == 201
    assert reply.body["data"]["text"] == "Help exists."
    assert entries()[0].remote_id == reply.body["data"]["id"]


def test_the_same_words_are_refused_with_its_own_body(x: Client, entries: Callable) -> None:
    publish(x, "Once https://example.org/a")
    reply = publish(x, "Once https://example.org/a")
    assert reply.status == 403
    assert reply.body == {
        "detail": "You are not allowed to create a Tweet with duplicate content.",
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
    }
    assert len(entries()) == 1


def test_after_a_deletion_the_same_words_may_be_posted(x: Client, entries: Callable) -> None:
    made = publish(x, "Again").body["data"]["id"]
    assert x.send("DELETE", f"{TWEETS}/{made}").body == {"data": {"deleted": True}}
    assert publish(x, "Again").status == 201
    assert len(entries()) == 1


@pytest.mark.parametrize(
    "text", ["a" * 280, "字" * 140, "👨‍👩‍👧" * 140, "https://example.org/" + "a" * 300 + " " + "b" * 256]
)
def test_two_hundred_and_eighty_weighted_characters_fit(x: Client, text: str) -> None:
    assert publish(x, text).status == 201


@pytest.mark.parametrize(
    "text", ["a" * 281, "字" * 141, "https://example.org/" + "a" * 300 + " " + "b" * 257]
)
def test_one_more_does_not(x: Client, text: str) -> None:
    reply = publish(x, text)
    assert (reply.status, reply.body["title"]) == (400, "Invalid Request")
    assert "too long" in reply.body["errors"][0]["message"]


@pytest.mark.parametrize(
    "more",
    [
        {"idempotency_key": "k"},
        {"media": {"media_ids": ["1"], "alt": "x"}},
        {"media": {"media_ids": []}},
        {"media": {"media_ids": [1]}},
        {"media": {"media_ids": ["12345"]}},
        {"reply": {"to": "1"}},
        {"made_with_ai": "no"},
    ],
)
def test_what_the_schema_does_not_have_is_refused(x: Client, entries: Callable, more: dict) -> None:
    assert publish(x, "No", **more).status == 400
    assert entries() == []


def test_one_cashtag_at_most(x: Client) -> None:
    assert publish(x, "Costs $5 and $10, see $ABC").status == 201
    assert publish(x, "See $ABC and $XYZ").status == 400


def test_nothing_is_not_a_post(x: Client) -> None:
    assert publish(x, " ").status == 400
    assert x.send("POST", TWEETS, b"text=hello", "application/x-www-form-urlencoded").status == 400
    assert x.send("POST", TWEETS, b"[]").status == 400


def test_pictures_have_their_alt_texts(x: Client, entries: Callable) -> None:
    made = upload(x, 3, "Poster")
    reply = publish(x, "Picture", media={"media_ids": [made]})
    assert reply.status == 201
    assert reply.body["data"]["text"].startswith("Picture https://t.co/")
    assert [alt for _, alt in entries()[0].media] == ["Poster"]
    where = f"/2/users/{me(x)}/tweets?expansions=attachments.media_keys&media.fields=alt_text"
    assert x.get(where).body["includes"]["media"][0]["alt_text"] == "Poster"


def test_an_alt_text_has_a_limit_and_a_picture_its_owner(sim: process.Running, x: Client) -> None:
    made = upload(x)

    def describe(client: Client, alt: str) -> int:
        return client.post("/2/media/metadata", {"id": made, "metadata": {"alt_text": {"text": alt}}}).status

    assert (describe(x, "a" * 1000), describe(x, "a" * 1001)) == (200, 400)
    other = Client(sim.servers["x"], "sim:somebody/else")
    assert describe(other, "not mine") == 400
    assert publish(other, "Not mine", media={"media_ids": [made]}).status == 400


def test_an_upload_needs_its_category_and_whole_bytes(x: Client) -> None:
    assert x.upload("/2/media/upload", {}, "media", png()).status == 400
    assert x.upload("/2/media/upload", {"media_category": "tweet_image"}, "media", png()[:-9]).status == 400


def test_an_upload_lives_a_day(sim: process.Running, x: Client) -> None:
    made = upload(x)
    sim.advance(86401)
    assert publish(x, "Late", media={"media_ids": [made]}).status == 400


def test_the_listing_shortens_links_and_says_where_they_lead(x: Client) -> None:
    publish(x, "A & B <https://example.org/page>.")
    where = f"/2/users/{me(x)}/tweets?tweet.fields=created_at,entities"
    (post,) = x.get(where).body["data"]
    (link,) = post["entities"]["urls"]
    assert link["expanded_url"] == "https://example.org/page"
    assert post["text"] == f"A &amp; B &lt;{link['url']}&gt;."
    assert post["text"][link["start"] : link["end"]] == link["url"]
    assert post["created_at"].endswith(".000Z")


def test_the_listing_begins_at_start_time_and_comes_in_pages(x: Client) -> None:
    ids = [publish(x, f"Number {n}").body["data"]["id"] for n in range(7)]
    where = f"/2/users/{me(x)}/tweets"
    page = x.get(f"{where}?max_results=5").body
    assert [p["id"] for p in page["data"]] == ids[:1:-1]
    rest = x.get(f"{where}?max_results=5&pagination_token={page['meta']['next_token']}").body
    assert [p["id"] for p in rest["data"]] == ids[1::-1]
    assert x.get(f"{where}?start_time=2099-01-01T00:00:00Z").body == {"meta": {"result_count": 0}}
    assert x.get(f"{where}?start_time=2020-01-01T00:00:00Z").body["meta"]["result_count"] == 7


@pytest.mark.parametrize(
    "query",
    ["max_results=4", "max_results=101", "start_time=yesterday", "tweet.fields=nonsense", "nonsense=1"],
)
def test_a_query_that_the_api_does_not_have_is_refused(x: Client, query: str) -> None:
    assert x.get(f"/2/users/{me(x)}/tweets?{query}").status == 400


def test_what_is_not_there_is_an_error_beside_a_200(x: Client) -> None:
    reply = x.get(f"{TWEETS}/12345")
    assert (reply.status, reply.body["errors"][0]["title"]) == (200, "Not Found Error")
    assert "data" not in reply.body


def test_a_reply_needs_its_parent(x: Client, entries: Callable) -> None:
    assert publish(x, "To nothing", reply={"in_reply_to_tweet_id": "1"}).status == 403
    parent = publish(x, "First").body["data"]["id"]
    assert publish(x, "Second", reply={"in_reply_to_tweet_id": parent}).status == 201
    assert entries()[1].reply_to == parent


@pytest.mark.parametrize(
    ("token", "status"), [("revoked:a/b", 401), ("nonsense", 401), ("", 401), ("noscope:a/b", 403)]
)
def test_bad_tokens_get_their_own_errors(sim: process.Running, token: str, status: int) -> None:
    reply = publish(Client(sim.servers["x"], token), "No")
    assert (reply.status, reply.body["status"]) == (status, status)
    assert reply.body["title"] in ("Unauthorized", "Forbidden")


def test_nobody_deletes_the_post_of_another(sim: process.Running, x: Client, entries: Callable) -> None:
    made = publish(x, "Mine").body["data"]["id"]
    assert Client(sim.servers["x"], "sim:somebody/else").send("DELETE", f"{TWEETS}/{made}").status == 403
    assert len(entries()) == 1


def test_the_reset_of_the_rate_is_in_epoch_seconds(x: Client) -> None:
    for reply in (publish(x, "Counted"), publish(x, "Counted")):
        assert reply.headers["x-rate-limit-limit"] == "100"
        assert reply.headers["x-rate-limit-reset"].isdigit()
