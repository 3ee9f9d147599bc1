"""check and preview as commands: the same facts for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scheduler.cli.main import cli
from scheduler.files.starter import CAMPAIGN
from scheduler.publishers import registry
from scheduler.services.check import CheckReport, check

Post = Callable[..., None]


@pytest.fixture
def run(root: Path) -> Callable[..., Result]:
    return lambda *args: CliRunner().invoke(cli, ["-C", str(root), *args], standalone_mode=False)


def report(root: Path, now: datetime = datetime(2027, 1, 4, tzinfo=UTC)) -> CheckReport:
    return check(root, registry.load(registry.installed()), now)


def codes(found: CheckReport) -> list[str]:
    return [p.code for p in found.problems]


def test_a_launch_that_is_past_is_a_warning(root: Path) -> None:
    found = report(root, datetime(2028, 1, 1, tzinfo=UTC))
    assert codes(found) == ["W201"]
    assert found.errors == 0
    assert found.problems[0].text.startswith("launch: Tue 2 February 2027")


def test_an_aim_without_a_post_is_a_warning(root: Path) -> None:
    path = root / CAMPAIGN / "campaign.yaml"
    path.write_text(path.read_text().replace("aims:", "aims:\n  harm: It hurts."))
    found = report(root)
    assert codes(found) == ["W301"]
    assert found.campaigns[0].aims_missing == ("harm",)


def test_words_that_nobody_gets_are_a_warning(root: Path, post: Post) -> None:
    post("Base.\n::: bluesky\nFor Bluesky.\n")
    found = report(root)
    assert codes(found) == ["W302"]
    assert found.problems[0].at.line == 7


def test_an_organisation_without_the_account_is_a_warning(root: Path, post: Post) -> None:
    post("Base.\n", "id: hello\nat: launch\naim: awareness\nplatforms: [x, bluesky, mastodon]")
    found = report(root)
    assert codes(found) == ["W303"]


def test_an_organisation_without_an_approver_is_a_warning(root: Path) -> None:
    path = root / "accounts.yaml"
    path.write_text(
        path.read_text().replace("org: hillside, roles: [approver]", "org: hillside, roles: [author]")
    )
    assert codes(report(root)) == ["W601"]


def test_a_platform_without_a_publisher_is_a_warning(root: Path) -> None:
    publishers = registry.load(["x"])
    found = check(root, publishers, datetime(2027, 1, 4, tzinfo=UTC))
    assert codes(found) == ["W602"]


def test_a_campaign_without_posts_is_a_warning(root: Path) -> None:
    (root / CAMPAIGN / "01-hello.md").unlink()
    assert "W304" in codes(report(root))


def test_the_same_fault_of_one_text_is_reported_once_with_all_whom_it_hits(root: Path, post: Post) -> None:
    post("word " * 100 + "\n")
    found = report(root)
    faults = [p for p in found.problems if p.code == "E701"]
    assert len(faults) == 1
    assert "riverton, hillside" in faults[0].message


def test_check_says_the_same_in_json(run: Callable[..., Result]) -> None:
    result = run("check", "--json")
    said = json.loads(result.stdout)
    assert said["schema"] == "launchday.check/1"
    assert said["items"] == []
    assert said["campaigns"][0]["deliveries"] == 4
    assert {x["platform"] for x in said["campaigns"][0]["longest"]} == {"x", "mastodon"}


def test_check_of_an_unknown_campaign_is_a_question_of_usage(run: Callable[..., Result]) -> None:
    result = run("check", "nothing")
    assert getattr(result.exception, "exit_code", None) == 2


def test_preview_shows_the_exact_words_the_figure_and_its_source(run: Callable[..., Result]) -> None:
    said = json.loads(run("preview", "hello", "--org", "riverton", "--platform", "x", "--json").stdout)
    assert [i["delivery"] for i in said["items"]] == ["riverton/x/hello"]
    item = said["items"][0]
    assert item["text"].startswith("1,250 people came to see us in Riverton")
    assert item["figures"] == ["1,250"]
    assert item["source"] == "Counted at the door of the town hall"
    assert item["media"][0]["alt"].startswith("Poster:")
    assert item["length"]["limit"] == 280
    assert item["needs"] == ["owner:riverton"]


def test_preview_is_complete_rows_when_piped(run: Callable[..., Result]) -> None:
    lines = run("preview").stdout.splitlines()
    assert len(lines) == 5
    assert {len(line.split("\t")) for line in lines} == {12}
    assert "\\n" in lines[1]


def test_preview_draws_markup_as_it_is_written(
    root: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    from scheduler.cli import previews
    from scheduler.services.preview import preview

    post("[bold red]Not markup[/] :smile: {x}\n")
    previews.panels(preview(root, registry.load(registry.installed())))
    out = capsys.readouterr().out
    assert "[bold red]Not markup[/] :smile: {x}" in out
    assert "/280" in out


def test_preview_of_what_is_not_there_says_what_is(run: Callable[..., Result]) -> None:
    result = run("preview", "helo")
    assert getattr(result.exception, "exit_code", None) == 2
    assert "hello" in getattr(result.exception, "help", "")


def test_explain_explains_one_code_or_lists_all(run: Callable[..., Result]) -> None:
    assert "platforms: [x, facebook]" in run("explain", "e104").stdout
    assert len(run("explain").stdout.splitlines()) > 80
    assert getattr(run("explain", "E999").exception, "exit_code", None) == 2


def test_schema_prints_a_schema(run: Callable[..., Result]) -> None:
    assert json.loads(run("schema", "post").stdout)["title"] == "the post"
