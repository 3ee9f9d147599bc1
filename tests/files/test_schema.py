"""The JSON Schemas accept what the reader accepts and refuse a typing mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from scheduler.files.schema import FILES, schema

HERE = Path(__file__).parents[2]
SAMPLE = HERE / "posts/stop-it-now-south-west"


def documents() -> list[tuple[str, str]]:
    posts = [("post", p.read_text(encoding="utf-8").split("\n---\n")[0]) for p in sorted(SAMPLE.glob("*.md"))]
    return [
        ("accounts", (HERE / "accounts.yaml").read_text(encoding="utf-8")),
        ("campaign", (SAMPLE / "campaign.yaml").read_text(encoding="utf-8")),
        *posts,
    ]


def faults(file: str, text: str) -> list[str]:
    value: Any = YAML(typ="safe", pure=True).load(text.removeprefix("---\n"))
    return [e.message for e in Draft202012Validator(schema(file)).iter_errors(value)]


@pytest.mark.parametrize("file", FILES)
def test_it_is_a_schema(file: str) -> None:
    Draft202012Validator.check_schema(schema(file))
    assert json.loads(json.dumps(schema(file))) == schema(file)


def test_the_sample_is_valid() -> None:
    assert [(file, faults(file, text)) for file, text in documents() if faults(file, text)] == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("accounts", r"^organisations:", "organisation:"),
        ("accounts", r"handle:", "handel:"),
        ("accounts", r"^mode: .*", "mode: production"),
        ("campaign", r"^launch:", "lunch:"),
        ("campaign", r"^sensitive: .*", "sensitive: perhaps"),
        ("campaign", r"each_org: 1", "each_org: one"),
        ("post", r"^platforms:", "platfroms:"),
        ("post", r"^at:", "when:"),
    ],
)
def test_a_typing_mistake_is_invalid(file: str, old: str, new: str) -> None:
    text = next(t for f, t in documents() if f == file)
    broken, count = re.subn(old, new, text, count=1, flags=re.M)
    assert count == 1
    assert faults(file, broken)
