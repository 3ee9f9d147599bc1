"""walkthrough.md, made true: from files to a launch, with every refusal on the way."""

from __future__ import annotations

from collections import Counter

from launch.desk import LAUNCH, first_arrival, inside, launchday, must, posts

from cli.story import APPROVERS, Story

TOUCHED = {f"dorset/{platform}/launch" for platform in ("x", "facebook", "bluesky", "mastodon")}


def test_check_finds_nothing_wrong_and_names_the_next_command(story: Story) -> None:
    said = story.said["check"]
    assert said.code == 0
    assert "0 errors, 0 warnings" in said.out
    assert "every aim is covered" in said.out
    assert "Next: launchday preview" in said.err


def test_plan_adds_every_delivery_and_queue_stores_the_same(story: Story) -> None:
    plan, queue = story.said["plan"].json, story.said["queue"].json
    assert plan["counts"]["add"] == len(plan["items"]) == queue["added"] == 182
    assert [i["delivery"] for i in plan["items"]] == [i["delivery"] for i in queue["items"]]
    assert sum(i["post"] == "launch" for i in plan["items"]) == 28
    assert {i["due_shown"] for i in plan["items"] if i["post"] == "launch"} == {"Tue 9 Mar 2027 07:00 GMT"}


def test_the_author_cannot_approve_and_is_told_whom_to_ask(story: Story) -> None:
    said = story.said["author"]
    assert said.code == 5
    assert "j.doyle wrote these posts, and not_author is on" in said.err
    assert "p.brackenhythe" in said.err


def test_neither_another_organisation_nor_a_stranger_can_approve(story: Story) -> None:
    for name, words in (("another organisation", "does not speak for dorset"), ("stranger", "is nobody in")):
        assert story.said[name].code == 5
        assert words in story.said[name].err


def test_an_approval_prints_the_hash_of_the_words_that_it_is_bound_to(story: Story) -> None:
    listed = {i["delivery"]: i["content_sha256"] for i in story.said["approved"].json["items"]}
    given = {i["delivery"]: i["content_sha256"] for i in story.said["p.brackenhythe"].json["items"]}
    assert given
    assert all(listed[d] == sha for d, sha in given.items())


def test_after_all_have_approved_nothing_is_missing(story: Story) -> None:
    assert {story.said[p].code for p in APPROVERS} == {0}
    assert all(i["approved"] for i in story.said["approved"].json["items"])


def test_plan_says_whose_approvals_a_changed_figure_would_void(story: Story) -> None:
    plan = story.said["plan of the change"].json
    changed = [i for i in plan["items"] if i["change"] == "change"]
    assert {i["delivery"] for i in changed} == TOUCHED
    assert all(i["why"] == ["words: 285 → 286"] for i in changed)
    assert all(i["voids_approvals_of"] == ["p.brackenhythe", "n.ashpenny"] for i in changed)
    assert {i["change"] for i in plan["items"]} == {"change", "unchanged"}
    said = story.said["plan of the change, for people"]
    assert "Approvals of 4 deliveries by n.ashpenny, p.brackenhythe would stop counting." in said.err


def test_queue_voids_exactly_the_approvals_that_the_change_touches(story: Story) -> None:
    assert story.said["queue of the change"].json["approvals_voided"] == 8
    before = {i["delivery"]: i for i in story.said["approved"].json["items"]}
    after = {i["delivery"]: i for i in story.said["after the change"].json["items"]}
    assert {d for d, i in after.items() if not i["approved"]} == TOUCHED
    assert {d for d in after if after[d]["content_sha256"] != before[d]["content_sha256"]} == TOUCHED
    log = must(story.root, "log", "--type", "approval.voided", "--json").json["items"]
    assert {e["delivery"] for e in log} == TOUCHED
    assert {e["why"] for e in log} == {"the words changed"}


def test_the_launch_publishes_all_28_once_and_nothing_before_t0(story: Story) -> None:
    said = story.said["launch"]
    assert said.code == 0, said.err
    assert "28 published, 0 not out, of 28 due by now." in said.out
    assert "wave        28 of 28 published" in said.err
    assert Counter(Counter(p.account for p in posts(story.root)).values()) == {1: 28}
    assert first_arrival(story.root) >= LAUNCH


def test_what_arrived_is_what_was_approved_to_the_character(story: Story) -> None:
    (out,) = [p for p in posts(story.root) if p.account == "dorset/mastodon"]
    shown = must(story.root, "show", "dorset/mastodon/launch", "--json").json["item"]
    assert out.text == shown["text"]
    assert "286 people in Dorset" in out.text
    assert [m["alt"] for m in shown["media"]] == [alt for _, alt in out.media]


def test_list_and_log_and_verify_agree_about_what_went_out(story: Story) -> None:
    listed = must(story.root, "list", "--post", "launch", "--json").json["items"]
    assert {i["state"] for i in listed} <= {"published", "verified"}
    log = must(story.root, "log", "--type", "publish.accepted", "--json").json["items"]
    assert {e["delivery"]: e["receipt"]["url"] for e in log} == {i["delivery"]: i["url"] for i in listed}
    swrocu = must(story.root, "log", "--since", "launch", "--org", "swrocu", "--json").json["items"]
    types = Counter(e["type"] for e in swrocu)
    assert types.pop("publish.verified", 0) <= 4  # as many as have been read back by now
    assert types == {"publish.attempted": 4, "publish.accepted": 4}
    assert (
        "28 published, each with the bytes its approvers approved." in must(story.root, "log", "verify").out
    )


def test_a_launch_that_happened_cannot_be_launched_again(story: Story) -> None:
    said = inside(story.root, "run", "--once", "--launch-in", "9s")
    assert said.code == 2
    assert "has happened already" in said.err
    assert len(posts(story.root)) == 28


def test_simulation_and_live_never_mix(story: Story) -> None:
    accounts = story.root / "accounts.yaml"
    before = accounts.read_text("utf-8")
    accounts.write_text(before.replace("mode: simulation", "mode: live"), "utf-8")
    try:
        assert must(story.root, "list", "--json").json == {
            "schema": "launchday.list/1",
            "items": [],
            "mode": "live",
        }
        assert must(story.root, "log", "--json").json["items"] == []
        assert len(must(story.root, "--simulation", "list", "--json").json["items"]) == 182
        # Without --live it is a simulation still, and says so, and works on its own database.
        said = launchday(story.root, "run", "--once")
        assert said.code == 0
        assert "SIMULATION" in said.err
        assert "28 published, 0 not out, of 28 due by now." in said.out
        assert must(story.root, "list", "--json").json["items"] == []
        refused = inside(story.root, "--simulation", "run", "--live")
        assert refused.code == 2
        assert "exclude each other" in refused.err
    finally:
        accounts.write_text(before, "utf-8")
