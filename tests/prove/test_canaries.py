"""No byte of a secret is written anywhere in a live launch; a leak would be found."""

from __future__ import annotations

import base64

from tests.prove import canaries


def quiet(_: str) -> None:
    pass


def test_no_secret_is_written_anywhere_in_a_live_launch_with_faults_and_kills() -> None:
    assert canaries.search(quiet) == []


def test_a_leak_is_found_in_each_of_its_forms() -> None:
    token = 'abcdef0123456789+&<"0123456789abcdef'
    wanted = canaries.forms(token)
    for said in (
        token.encode(),
        base64.b64encode(b"Bearer " + token.encode()),
        token.encode().hex().encode(),
    ):
        assert any(one in said for one in wanted)
