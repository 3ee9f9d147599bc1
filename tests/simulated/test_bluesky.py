"""The simulated Bluesky refuses what a PDS refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from scheduler.publishers.simulated import cid, process
from simulated.client import Client, Reply, png

XRPC = "/xrpc/com.atproto."
POST = "app.bsky.feed.post"
RKEY = "3jzfcijpj2z2a"


def record(text: str, **more: Any) -> dict[str, Any]:
    return {"$type": POST, "text": text, "createdAt": "2027-03-09T07:00:00.000Z", **more}


def put(client: Any, value: Any, rkey: str = RKEY, method: str = "putRecord", **more: Any) -> Reply:
    body = {"repo": client.did, "collection": POST, "rkey": rkey, "record": value, **more}
    return client.post(f"{XRPC}repo.{method}", body)


def blob(client: Client, seed: int = 0) -> Any:
    return client.send("POST", f"{XRPC}repo.uploadBlob", png(seed), "image/png").body["blob"]


def images(*pictures: dict[str, Any]) -> dict[str, Any]:
    return {"$type": "app.bsky.embed.images", "images": list(pictures)}


def facet(start: int, end: int) -> dict[str, Any]:
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.org/"}
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [link]}


def session(sim: process.Running, identifier: str, password: str) -> Reply:
    body = {"identifier": identifier, "password": password}
    return Client(sim.servers["bluesky"]).post(f"{XRPC}server.createSession", body)


def test_a_record_is_created_once_and_the_same_bytes_are_a_no_op(bluesky: Any, entries: Callable) -> None:
    first, second = put(bluesky, record("Once")), put(bluesky, record("Once"))
    assert (first.status, second.status) == (200, 200)
    assert first.body["cid"] == second.body["cid"]
    assert "commit" in first.body
    assert "commit" not in second.body
    (entry,) = entries()
    assert (entry.text, entry.key, entry.remote_id) == ("Once", RKEY, first.body["uri"])


def test_other_bytes_are_an_update_unless_swap_record_forbids_it(bluesky: Any, entries: Callable) -> None:
    first = put(bluesky, record("One"))
    refused = put(bluesky, record("Two"), swapRecord=None)
    assert (refused.status, refused.body["error"]) == (400, "InvalidSwap")
    assert refused.body["message"] == f"Record was at {first.body['cid']}"
    assert put(bluesky, record("Two")).body["cid"] != first.body["cid"]
    (entry,) = entries()
    assert (entry.text, entry.edits) == ("Two", 1)


def test_create_record_under_a_taken_key_is_a_500(bluesky: Any, entries: Callable) -> None:
    assert put(bluesky, record("One"), method="createRecord").status == 200
    again = put(bluesky, record("One"), method="createRecord")
    assert (again.status, again.body["error"]) == (500, "InternalServerError")
    assert len(entries()) == 1


def test_a_deleted_key_can_be_created_again(bluesky: Any, entries: Callable) -> None:
    put(bluesky, record("One"))
    body = {"repo": bluesky.did, "collection": POST, "rkey": RKEY}
    assert "commit" in bluesky.post(f"{XRPC}repo.deleteRecord", body).body
    assert bluesky.post(f"{XRPC}repo.deleteRecord", body).body == {}
    assert entries() == []
    assert put(bluesky, record("One"), swapRecord=None).status == 200


def test_get_record_finds_exactly_the_key_without_a_token(sim: process.Running, bluesky: Any) -> None:
    made = put(bluesky, record("Found")).body
    anyone = Client(sim.servers["bluesky"])
    where = f"{XRPC}repo.getRecord?repo={bluesky.did}&collection={POST}&rkey="
    assert anyone.get(where + RKEY).body == {**{k: made[k] for k in ("uri", "cid")}, "value": record("Found")}
    missing = anyone.get(where + "3jzfcijpj2z2b")
    assert (missing.status, missing.body["error"]) == (400, "RecordNotFound")
    by_handle = anyone.get(where.replace(bluesky.did, bluesky.handle) + RKEY)
    assert by_handle.body["cid"] == made["cid"]


def test_records_are_listed_by_key(bluesky: Any) -> None:
    keys = [f"3jzfcijpj2z2{last}" for last in "abc"]
    for key in keys:
        put(bluesky, record(f"At {key}"), key)
    where = f"{XRPC}repo.listRecords?repo={bluesky.did}&collection={POST}"
    listed = bluesky.get(f"{where}&limit=2").body
    assert [one["uri"][-13:] for one in listed["records"]] == keys[:0:-1]
    rest = bluesky.get(f"{where}&cursor={listed['cursor']}").body
    assert [one["uri"][-13:] for one in rest["records"]] == keys[:1]


@pytest.mark.parametrize("rkey", ["self", "3jzfcijpj2z2", "zzzzzzzzzzzzz", "3jzfcijpj2z21"])
def test_posts_are_kept_under_a_tid(bluesky: Any, rkey: str) -> None:
    reply = put(bluesky, record("No"), rkey)
    assert (reply.status, "Invalid TID" in reply.body["message"]) == (400, True)


@pytest.mark.parametrize("text", ["a" * 300, "👨‍👩‍👧‍👦" * 120, "ก" * 300])
def test_three_hundred_graphemes_and_three_thousand_bytes_fit(bluesky: Any, text: str) -> None:
    assert put(bluesky, record(text)).status == 200


@pytest.mark.parametrize(
    ("text", "unit"), [("a" * 301, "300 graphemes"), ("👨‍👩‍👧‍👦" * 121, "3000 characters")]
)
def test_one_more_does_not(bluesky: Any, text: str, unit: str) -> None:
    reply = put(bluesky, record(text))
    assert (reply.status, reply.body["error"]) == (400, "InvalidRequest")
    assert unit in reply.body["message"]


def test_pictures_are_blobs_with_alt_texts(bluesky: Any, entries: Callable) -> None:
    ref = blob(bluesky)
    assert ref["ref"]["$link"] == cid.of_bytes(png())
    embed = images({"image": ref, "alt": "Poster", "aspectRatio": {"width": 2, "height": 2}})
    assert put(bluesky, record("Picture", embed=embed)).status == 200
    assert [alt for _, alt in entries()[0].media] == ["Poster"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"alt": None}, "InvalidRequest"),
        ({"size": 1}, "InvalidRequest"),
        ({"mimeType": "image/jpeg"}, "InvalidMimeType"),
        ({"link": cid.of_bytes(b"never uploaded")}, "BlobNotFound"),
        ({"aspectRatio": {"width": 0, "height": 1}}, "InvalidRequest"),
    ],
)
def test_a_picture_that_is_not_as_uploaded_is_refused(bluesky: Any, change: dict, error: str) -> None:
    ref = blob(bluesky)
    ref.update({k: v for k, v in change.items() if k in ("size", "mimeType")})
    if "link" in change:
        ref["ref"] = {"$link": change["link"]}
    picture = {"image": ref, "alt": "Poster", **{k: v for k, v in change.items() if k == "aspectRatio"}}
    if "alt" in change:
        del picture["alt"]
    reply = put(bluesky, record("No", embed=images(picture)))
    assert (reply.status, reply.body["error"]) == (400, error)


def test_four_pictures_at_most(bluesky: Any) -> None:
    picture = {"image": blob(bluesky), "alt": ""}
    assert put(bluesky, record("No", embed=images(*[picture] * 5))).status == 400
    assert put(bluesky, record("Yes", embed=images(*[picture] * 4))).status == 200


def test_a_broken_picture_is_a_500_and_the_same_bytes_are_the_same_blob(bluesky: Any) -> None:
    assert bluesky.send("POST", f"{XRPC}repo.uploadBlob", png()[:-9], "image/png").status == 500
    assert blob(bluesky, 5) == blob(bluesky, 5)


def test_a_blob_belongs_to_its_account(sim: process.Running, bluesky: Any) -> None:
    blob(bluesky, 77)
    other: Any = Client(sim.servers["bluesky"])
    opened = session(sim, "other.example", "sim:other/bsky").body
    other.token, other.did = opened["accessJwt"], opened["did"]
    picture = {"image": {**blob(bluesky, 77)}, "alt": ""}
    assert put(other, record("Not mine", embed=images(picture))).body["error"] == "BlobNotFound"


def test_facets_are_byte_offsets_within_the_text_on_whole_characters(bluesky: Any, entries: Callable) -> None:
    text = "Café https://example.org/"
    good = facet(6, len(text.encode()))
    assert put(bluesky, record(text, facets=[good])).status == 200
    assert entries()[0].record["value"]["facets"] == [good]
    for start, end in ((4, 6), (6, len(text.encode()) + 1), (6, 6), (-1, 3)):
        assert put(bluesky, record(text, facets=[facet(start, end)])).status == 400, (start, end)


def test_a_card_needs_its_title_and_description(bluesky: Any, entries: Callable) -> None:
    card = {"uri": "https://example.org/", "title": "T", "description": "D", "thumb": blob(bluesky)}
    embed = {"$type": "app.bsky.embed.external", "external": card}
    assert put(bluesky, record("Card", embed=embed)).status == 200
    assert entries()[0].link == "https://example.org/"
    del card["title"]
    assert put(bluesky, record("Card", embed=embed)).status == 400


def test_a_reply_points_at_posts_that_exist(bluesky: Any, entries: Callable) -> None:
    made = put(bluesky, record("First")).body
    parent = {"uri": made["uri"], "cid": made["cid"]}
    answer = record("Second", reply={"root": parent, "parent": parent})
    assert put(bluesky, answer, "3jzfcijpj2z2b").status == 200
    assert entries()[1].reply_to == made["uri"]
    stale = {"uri": made["uri"], "cid": cid.of_bytes(b"else")}
    assert put(bluesky, record("No", reply={"root": parent, "parent": stale}), "3jzfcijpj2z2c").status == 400
    nowhere = {**parent, "uri": made["uri"] + "x"}
    assert (
        put(bluesky, record("No", reply={"root": nowhere, "parent": parent}), "3jzfcijpj2z2c").status == 400
    )


@pytest.mark.parametrize(
    "wrong", [{"createdAt": "yesterday"}, {"createdAt": None}, {"langs": ["a b"]}, {"$type": "x"}]
)
def test_the_record_has_the_shape_of_the_lexicon(bluesky: Any, wrong: dict) -> None:
    assert put(bluesky, {**record("No"), **wrong}).status == 400


def test_a_number_that_is_not_whole_is_no_data(bluesky: Any) -> None:
    assert put(bluesky, record("No", extra=1.5)).status == 400


def test_the_app_password_opens_a_session_and_a_wrong_one_does_not(
    sim: process.Running, bluesky: Any
) -> None:
    assert bluesky.get(f"{XRPC}server.getSession").body["did"] == bluesky.did
    for identifier, password in (
        (bluesky.handle, "wrong"),
        ("@" + bluesky.handle, "sim:a/b"),
        (bluesky.handle, "sim:somebody/else"),
    ):
        reply = session(sim, identifier, password)
        assert (reply.status, reply.body["error"]) == (401, "AuthenticationRequired")


def test_a_session_is_refreshed_with_its_refresh_token_only(sim: process.Running) -> None:
    opened = session(sim, "fresh.example", "sim:fresh/bsky").body
    server = sim.servers["bluesky"]
    fresh = Client(server, opened["refreshJwt"]).post(f"{XRPC}server.refreshSession", None)
    assert fresh.status == 200
    assert fresh.body["accessJwt"] != opened["accessJwt"]
    wrong = Client(server, opened["accessJwt"]).post(f"{XRPC}server.refreshSession", None)
    assert (wrong.status, wrong.body["error"]) == (400, "InvalidToken")


def test_an_access_token_lives_two_hours(sim: process.Running, bluesky: Any) -> None:
    sim.advance(7201)
    reply = put(bluesky, record("Late"))
    assert (reply.status, reply.body["error"]) == (400, "ExpiredToken")


def test_bad_tokens_get_their_own_errors(sim: process.Running, bluesky: Any) -> None:
    bluesky.token = ""
    assert (put(bluesky, record("No")).status, put(bluesky, record("No")).body["error"]) == (
        401,
        "AuthMissing",
    )
    bluesky.token = "nonsense"
    assert (put(bluesky, record("No")).status, put(bluesky, record("No")).body["error"]) == (
        400,
        "InvalidToken",
    )
    for state, status, error in (("revoked", 400, "ExpiredToken"), ("noscope", 403, "ScopeMissingError")):
        opened = session(sim, f"{state}.example", f"{state}:{state}/bsky").body
        bluesky.token, bluesky.did = opened["accessJwt"], opened["did"]
        reply = put(bluesky, record("No"))
        assert (reply.status, reply.body["error"]) == (status, error)


def test_nobody_writes_into_another_repository(bluesky: Any) -> None:
    bluesky.did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    assert put(bluesky, record("No")).status == 401


def test_handles_resolve_and_there_is_no_appview(bluesky: Any) -> None:
    where = "/xrpc/com.atproto.identity.resolveHandle?handle="
    assert bluesky.get(where + bluesky.handle).body == {"did": bluesky.did}
    assert bluesky.get(where + "nobody.example").status == 400
    assert bluesky.get("/xrpc/app.bsky.feed.getPosts").status == 502
    assert bluesky.get("/xrpc/com.example.nothing").status == 501


def test_cids_are_those_of_the_specification() -> None:
    # The CID of the empty map, and of "hello world" as raw bytes, as any IPFS tool prints them.
    assert cid.of_record({}) == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    assert cid.of_bytes(b"hello world") == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
