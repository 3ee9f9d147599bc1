"""Publishers come from entry points: only those asked for, and a broken one is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.domain.publisher import Publisher
from scheduler.errors import LaunchdayError
from scheduler.publishers.registry import installed, load

TOY = """
from scheduler.domain.publisher import Capability, Prepared, Receipt, Request


class Toy:
    platform = "toy"
    server = "https://toy.example"
    capability = Capability.WRITE_ONLY

    def prepare(self, outgoing, account, http):
        return Prepared(outgoing.content, account)

    def request(self, prepared, key):
        return Request("POST", self.server, (), prepared.content.text.encode())

    def receipt(self, prepared, reply):
        return Receipt("1", "https://toy.example/1")

    def find(self, prepared, key, since, http):
        return None
"""


PIGEON = '''
"""A whole publisher in one file: a webhook that takes plain words."""

import json

from scheduler.domain.publisher import Capability, Length, Prepared, Receipt, Request
from scheduler.errors import CannotTell, OutcomeUnknown, Rejected, RetryLater, Unauthorised
from scheduler.publishers import replies, rules


class Pigeon:
    platform = "pigeon"
    server = "https://pigeon.example"
    capability = Capability.WRITE_ONLY

    def prepare(self, outgoing, account, http):
        for fault in self.faults(outgoing.content):
            raise Rejected("rules", fault)
        return Prepared(outgoing.content, account)

    def request(self, prepared, key):
        url = replies.base(prepared.account, self.server) + "/loft"
        body = json.dumps({"words": prepared.content.text}).encode()
        return Request("POST", url, (("Content-Type", "application/json"),), body)

    def receipt(self, prepared, reply):
        if reply.status == 401:
            raise Unauthorised("unauthorised")
        if reply.status == 429:
            raise RetryLater("throttled", at=replies.after(reply))
        remote_id = replies.word(replies.json_object(reply).get("id"))
        if not replies.ok(reply) or not remote_id:
            raise OutcomeUnknown(f"http_{reply.status}")
        return Receipt(remote_id, f"https://pigeon.example/{remote_id}")

    def find(self, prepared, key, since, http):
        raise CannotTell("write_only")

    def length(self, content):
        return Length(len(content.text), 100)

    def faults(self, content):
        taken = rules.MediaRules(0, 1000, frozenset({"image/png"}), 100)
        found = rules.faults(content, "Pigeon", self.length(content), taken)
        return (*found, *rules.public_only(content, "Pigeon"))
'''


def package(folder: Path, name: str, source: str, target: str, platform: str = "toy") -> None:
    """A distribution as pip leaves it: a module and its metadata."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: launchday-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[launchday.publishers]\n{platform} = {target}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, so that packages in it are installed."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_publishers_asked_for_are_loaded_by_name() -> None:
    found = load(["x", "bluesky"])
    assert list(found) == ["bluesky", "x"]
    assert all(isinstance(one, Publisher) and one.platform == name for name, one in found.items())


def test_a_platform_without_a_publisher_is_absent() -> None:
    assert load(["mastodon", "carrier-pigeon"]).keys() == {"mastodon"}
    assert load([]) == {}


def test_only_what_is_asked_for_is_imported() -> None:
    code = (
        "import sys; from scheduler.publishers.registry import load; load(['facebook']);"
        "print([m for m in sys.modules if m.startswith('scheduler.publishers.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "scheduler.publishers.facebook" in done.stdout
    assert "bluesky" not in done.stdout
    assert "mastodon" not in done.stdout


def test_one_file_and_one_entry_point_add_a_platform(folder: Path) -> None:
    package(folder, "toy_one", TOY, "toy_one:Toy")
    assert "toy" in installed()
    assert isinstance(load(["toy"])["toy"], Publisher)


@pytest.mark.parametrize(
    ("name", "source", "target", "platform", "said"),
    [
        (
            "toy_two",
            "import not_installed_anywhere",
            "toy_two:Toy",
            "toy",
            "does not start: ModuleNotFoundError",
        ),
        ("toy_three", TOY, "toy_three:Missing", "toy", "does not start: AttributeError"),
        ("toy_four", "raise SystemError('boom')", "toy_four:Toy", "toy", "does not start: SystemError: boom"),
        ("toy_five", TOY, "toy_five:Toy", "train", "does not fit this version of Launchday"),
        (
            "toy_six",
            "class Toy: platform = 'toy'",
            "toy_six:Toy",
            "toy",
            "does not fit this version of Launchday",
        ),
    ],
)
def test_a_broken_publisher_is_a_sentence_that_names_its_package(
    folder: Path, name: str, source: str, target: str, platform: str, said: str
) -> None:
    package(folder, name, source, target, platform)
    with pytest.raises(LaunchdayError) as caught:
        load([platform, "x"])
    assert f"the package launchday-{name}" in caught.value.message
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.help
    assert load(["x"]), "the others still load"


def test_two_packages_for_one_platform_are_a_question_for_a_person(folder: Path) -> None:
    package(folder, "toy_seven", TOY, "toy_seven:Toy")
    package(folder, "toy_eight", TOY, "toy_eight:Toy")
    with pytest.raises(LaunchdayError, match="Two packages publish to toy"):
        load(["toy"])


def test_a_foreign_publisher_passes_the_conformance_suite_unchanged(tmp_path: Path) -> None:
    package(tmp_path, "pigeon", PIGEON, "pigeon:Pigeon", "pigeon")
    suite = str(Path(__file__).with_name("test_conformance.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "pigeon", suite],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_counting_needs_no_pkg_resources(tmp_path: Path) -> None:
    """A bare machine's Python has no setuptools, and a new setuptools has no pkg_resources."""
    (tmp_path / "pkg_resources.py").write_text("raise ImportError('not here')\n")
    code = "from scheduler.publishers.text.count import x_weight; print(x_weight('👍 a.com'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("26", "")
