"""Two daemons at once: the second is refused, and without a refusal the gate lets each post through once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove import daemons


@pytest.mark.parametrize("what", [daemons.refused, daemons.raced])
def test_two_at_once_make_one_post_for_each_account(what: daemons.Kind, tmp_path: Path) -> None:
    assert daemons.on(tmp_path, "sqlite", what, 1)
