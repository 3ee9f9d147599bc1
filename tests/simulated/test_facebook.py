"""The simulated Facebook refuses what the Graph API refuses."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from scheduler.publishers.simulated import process
from simulated.client import Client, Reply, png


@pytest.fixture
def page(account: str) -> str:
    return "1" + "".join(c for c in account if c.isdigit()).rjust(9, "0")


def photo(client: Client, page: str, seed: int = 0, **fields: str) -> Reply:
    fields = {"published": "false", **fields}
    return client.upload(f"/v23.0/{page}/photos", fields, "source", png(seed))


def code(reply: Reply) -> tuple[int, int]:
    return reply.status, reply.body["error"]["code"]


def test_a_post_is_kept_with_its_words_and_link(facebook: Client, page: str, entries: Callable) -> None:
    reply = facebook.post(f"/{page}/feed", {"message": "Help exists.", "link": "https://example.org/"})
    assert reply.status == 200
    assert reply.body["id"].startswith(f"{page}_")
    assert (entries()[0].text, entries()[0].link) == ("Help exists.", "https://example.org/")


@pytest.mark.parametrize("version", ["", "/v23.0", "/v19.0"])
def test_the_version_in_the_path_is_optional(facebook: Client, page: str, version: str) -> None:
    assert facebook.post(f"{version}/{page}/feed", {"message": "Versioned"}).status == 200


def test_a_form_with_the_token_in_it_will_do(
    sim: process.Running, account: str, page: str, entries: Callable
) -> None:
    fields = {"message": "As a form", "access_token": f"sim:{account}"}
    client = Client(sim.servers["facebook"])
    body = urlencode(fields).encode()
    assert client.send("POST", f"/{page}/feed", body, "application/x-www-form-urlencoded").status == 200
    assert entries()[0].text == "As a form"


def test_unpublished_photos_are_attached_in_order(facebook: Client, page: str, entries: Callable) -> None:
    ids = [photo(facebook, page, n, alt_text_custom=f"Poster {n}").body["id"] for n in (1, 2)]
    assert entries() == []
    media = [{"media_fbid": one} for one in ids]
    assert facebook.post(f"/{page}/feed", {"message": "Two", "attached_media": media}).status == 200
    assert [alt for _, alt in entries()[0].media] == ["Poster 1", "Poster 2"]
    assert facebook.get(f"/{ids[0]}?fields=alt_text_custom").body["alt_text_custom"] == "Poster 1"


def test_attached_media_may_be_numbered_form_fields(facebook: Client, page: str, entries: Callable) -> None:
    media = json.dumps({"media_fbid": photo(facebook, page).body["id"]})
    body = urlencode({"message": "Form", "attached_media[0]": media}).encode()
    assert facebook.send("POST", f"/{page}/feed", body, "application/x-www-form-urlencoded").status == 200
    assert len(entries()[0].media) == 1


def test_a_photo_that_is_not_unpublished_is_a_post(facebook: Client, page: str, entries: Callable) -> None:
    reply = photo(facebook, page, 9, published="true", message="At once")
    assert reply.body["post_id"].startswith(page)
    assert entries()[0].text == "At once"


def test_unknown_and_attached_photos_are_refused(facebook: Client, page: str, entries: Callable) -> None:
    one = {"media_fbid": photo(facebook, page).body["id"]}
    for media in ([{"media_fbid": "123"}], [one, one], "nonsense", ["x"]):
        assert code(facebook.post(f"/{page}/feed", {"message": "No", "attached_media": media})) == (400, 100)
    assert facebook.post(f"/{page}/feed", {"message": "Yes", "attached_media": [one]}).status == 200
    assert code(facebook.post(f"/{page}/feed", {"message": "No", "attached_media": [one]})) == (400, 100)
    assert len(entries()) == 1


def test_a_broken_picture_is_refused(facebook: Client, page: str) -> None:
    assert code(facebook.upload(f"/{page}/photos", {"published": "false"}, "source", png()[:-9])) == (
        400,
        324,
    )
    assert code(facebook.upload(f"/{page}/photos", {"published": "false"}, "", b"")) == (400, 324)


@pytest.mark.parametrize(
    "body",
    [{}, {"message": " "}, {"message": "a" * 63207}, {"message": "x", "link": "example"}, {"message": 1}],
)
def test_words_that_do_not_fit_are_refused(facebook: Client, page: str, body: dict) -> None:
    assert code(facebook.post(f"/{page}/feed", body)) == (400, 100)


def test_scheduling_is_not_pretended(facebook: Client, page: str, entries: Callable) -> None:
    body = {"message": "Later", "published": False, "scheduled_publish_time": 1900000000}
    assert code(facebook.post(f"/{page}/feed", body)) == (400, 100)
    assert entries() == []


def test_duplicate_words_are_accepted_as_the_real_platform_may(
    facebook: Client, page: str, entries: Callable
) -> None:
    for _ in range(2):
        assert facebook.post(f"/{page}/feed", {"message": "Twice"}).status == 200
    assert len(entries()) == 2


@pytest.mark.parametrize(
    ("token", "expected"),
    [("revoked:a/b", (400, 190)), ("nonsense", (400, 190)), ("", (400, 104)), ("noscope:a/b", (403, 200))],
)
def test_bad_tokens_get_their_own_codes(sim: process.Running, page: str, token: str, expected: tuple) -> None:
    reply = Client(sim.servers["facebook"], token).post(f"/{page}/feed", {"message": "No"})
    assert code(reply) == expected
    assert reply.body["error"]["type"] == "OAuthException"
    assert reply.body["error"]["fbtrace_id"]


def test_a_page_belongs_to_the_first_token_shown_for_it(
    sim: process.Running, facebook: Client, page: str
) -> None:
    made = facebook.post(f"/{page}/feed", {"message": "Mine"}).body["id"]
    other = Client(sim.servers["facebook"], "sim:somebody/else")
    assert code(other.post(f"/{page}/feed", {"message": "Not mine"})) == (403, 200)
    assert code(other.send("DELETE", f"/{made}")) == (403, 200)
    assert code(other.get(f"/{page}/published_posts")) == (403, 10)
    assert facebook.get("/me").body["id"] == page


def test_published_posts_are_listed_newest_first_since_a_time(facebook: Client, page: str) -> None:
    ids = [facebook.post(f"/{page}/feed", {"message": f"Number {n}"}).body["id"] for n in range(3)]
    where = f"/{page}/published_posts?fields=id,message,created_time,attachments{{media,description}}"
    first = facebook.get(f"{where}&limit=2").body
    assert [post["id"] for post in first["data"]] == ids[:0:-1]
    assert first["data"][0]["message"] == "Number 2"
    rest = facebook.get(f"{where}&limit=2&after={first['paging']['cursors']['after']}").body
    assert [post["id"] for post in rest["data"]] == ids[:1]
    assert "next" not in rest["paging"]
    assert facebook.get(f"{where}&since=4000000000").body == {"data": []}
    assert code(facebook.get(f"/{page}/published_posts?fields=nonsense")) == (400, 100)


def test_a_post_can_be_read_edited_and_deleted(facebook: Client, page: str, entries: Callable) -> None:
    made = facebook.post(f"/{page}/feed", {"message": "First"}).body["id"]
    assert facebook.get(f"/v23.0/{made}").body["message"] == "First"
    assert facebook.post(f"/{made}", {"message": "Second"}).body == {"success": True}
    assert (entries()[0].text, entries()[0].edits) == ("Second", 1)
    assert facebook.send("DELETE", f"/{made}").body == {"success": True}
    gone = facebook.get(f"/{made}")
    assert (code(gone), gone.body["error"]["error_subcode"]) == ((400, 100), 33)
    assert entries() == []
