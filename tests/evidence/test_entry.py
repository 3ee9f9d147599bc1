"""Leaves: RFC 8785 bytes as another implementation writes them, and nothing private in clear."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.content import canonical
from scheduler.evidence.entry import MAX_LEAF, Actor, Disclosure, Event, commit, digest, leaf, ulid

AT = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
ANN = Actor("ann", "dorset", "author", "person", "as")

# Characters that can be encoded; half characters (surrogates) are refused by both.
WORDS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127))
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
TAKEN = {
    *("v", "seq", "id", "at", "type", "actor", "app", "reason", "org"),
    *("campaign", "post", "delivery", "account", "platform"),
}
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_bytes_are_those_of_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES)
def test_canonical_bytes_read_back_and_write_the_same(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@pytest.mark.parametrize("value", [1.5, {"a": 2.0}, [b"x"], {1: "a"}, {"a": {2, 3}}, 2**60])
def test_what_json_cannot_hold_exactly_is_refused(value: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        canonical(value)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical("\ud800")


@given(WORDS, WORDS, WORDS)
def test_a_leaf_is_canonical_and_holds_no_reason_in_clear(said: str, name: str, code: str) -> None:
    event = Event("hold.started", ANN, delivery=name, reason_code=code, reason_text=f"Poole: {said}")
    raw, opened = leaf(event, seq=7, at=AT, version="1", host="h")
    assert raw == rfc8785.dumps(json.loads(raw))
    (one,) = opened
    assert one.value == f"Poole: {said}"
    assert json.loads(raw)["reason"] == {"code": code or "said", "text": {"$sd": digest(one)}}
    assert len(said) < 4 or f"Poole: {said}".encode() not in raw


@given(st.dictionaries(KEYS.filter(lambda k: k not in TAKEN), VALUES, max_size=6), WORDS, NUMBERS)
def test_a_leaf_is_the_canonical_bytes_of_its_values(facts: dict[str, object], words: str, seq: int) -> None:
    event = Event("publish.accepted", ANN, post=words, delivery=words, organisation="dorset", facts=facts)
    raw, _ = leaf(event, seq=seq, at=AT, version=words, host="h")
    body = json.loads(raw)
    assert raw == rfc8785.dumps(body)
    assert {name: body[name] for name in facts} == facts
    assert (body["seq"], body["app"]["version"], body.get("post", "")) == (seq, words, words)


@pytest.mark.parametrize("facts", [{"é": 1}, {"a": 1.5}, {"a": 2**60}, {"a": {"é": 1}}, {"a": b"x"}])
def test_a_fact_that_json_cannot_hold_exactly_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        leaf(Event("a.b", ANN, facts=facts), seq=1, at=AT, version="1", host="h")


def test_the_envelope_is_the_one_of_the_format() -> None:
    event = Event(
        "publish.attempted",
        ANN,
        campaign="spring",
        post="launch",
        delivery="dorset/x/launch",
        account="dorset/x",
        platform="x",
        organisation="dorset",
        facts={"content_sha256": "00", "key": "11"},
    )
    raw, opened = leaf(event, seq=3, at=AT, version="1.2", host="h")
    body = json.loads(raw)
    assert len(body.pop("id")) == 26
    assert opened == ()
    assert body == {
        "v": 1,
        "seq": 3,
        "at": "2027-03-09T07:00:00.000Z",
        "type": "publish.attempted",
        "actor": {"id": "ann", "org": "dorset", "role": "author", "kind": "person", "auth": "as"},
        "campaign": "spring",
        "post": "launch",
        "delivery": "dorset/x/launch",
        "account": "dorset/x",
        "platform": "x",
        "org": "dorset",
        "content_sha256": "00",
        "key": "11",
        "app": {"version": "1.2", "host": "h"},
    }


def test_a_commitment_follows_sd_jwts_rule_which_anybody_can_compute() -> None:
    told, opened = commit("reason.text", "because")
    disclosure = base64.urlsafe_b64encode(json.dumps([opened.salt, "reason.text", "because"]).encode())
    expected = base64.urlsafe_b64encode(hashlib.sha256(disclosure.rstrip(b"=")).digest()).rstrip(b"=")
    assert told == {"$sd": expected.decode()}
    # The example of RFC 9901, section 4.2.3.
    assert (
        digest(Disclosure("family_name", "_26bc4LT-ac6q2KI6cBW5es", "Möbius"))
        == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
    )


def test_two_commitments_to_the_same_words_differ() -> None:
    assert commit("reason.text", "no")[0] != commit("reason.text", "no")[0]
    assert len(base64.urlsafe_b64decode(commit("a", "b")[1].salt + "==")) == 16


def test_another_value_does_not_open_a_commitment() -> None:
    told, opened = commit("reason.text", "because")
    assert digest(Disclosure("reason.text", opened.salt, "becauſe")) != told["$sd"]
    assert digest(Disclosure("other", opened.salt, "because")) != told["$sd"]


def test_a_leaf_longer_than_the_tiles_can_hold_is_refused() -> None:
    leaf(Event("a.b", ANN, facts={"x": "y" * 60_000}), seq=1, at=AT, version="", host="")
    with pytest.raises(ValueError, match=str(MAX_LEAF)):
        leaf(Event("a.b", ANN, facts={"x": "y" * 66_000}), seq=1, at=AT, version="", host="")


def test_ulids_sort_by_time_and_never_repeat() -> None:
    many = {ulid(AT) for _ in range(1000)}
    assert len(many) == 1000
    assert {u[:10] for u in many} == {ulid(AT)[:10]}
    assert ulid(datetime(2027, 3, 9, 6, 59, tzinfo=UTC)) < min(many)
