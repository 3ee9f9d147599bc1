"""The simulated days find protocol bugs: what is planted is found (`make prove` plants every one of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.mutants import QUICK, found

from .planted import BY_NAME, MUTANTS, UNAIMED, edited

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", [*MUTANTS, *UNAIMED], ids=lambda m: m.name)
def test_every_bug_still_fits_the_code_it_is_planted_in(mutant: object) -> None:
    for module, old, new in BY_NAME[mutant.name].edits:  # type: ignore[attr-defined]
        text = (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
        assert text.count(old) == 1
        compile(edited(text, [(old, new)], module), module, "exec")


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(name: str) -> None:
    assert found(BY_NAME[name], 1)


def test_there_are_enough_of_them_and_each_is_another() -> None:
    every = (*MUTANTS, *UNAIMED)
    assert len(BY_NAME) == len(every) >= 60
    assert len({m.edits for m in every}) == len(every)
