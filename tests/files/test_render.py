"""Which words go to whom, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.domain.campaign import Rendered
from scheduler.errors import FilesWrong
from scheduler.files.render import read_media, render
from scheduler.files.starter import CAMPAIGN
from scheduler.files.workspace import load

Words = Callable[[], dict[str, Rendered]]
Post = Callable[..., None]


def texts(rendered: Words) -> dict[str, str]:
    return {name: d.content.text for name, d in rendered().items()}


def test_deliveries_come_in_file_order_then_organisation_then_platform(rendered: Words) -> None:
    assert list(rendered()) == [
        "riverton/x/hello",
        "riverton/mastodon/hello",
        "hillside/x/hello",
        "hillside/mastodon/hello",
    ]


def test_the_most_specific_variant_wins(post: Post, rendered: Words) -> None:
    post("Base.\n::: x\nOn X.\n::: for hillside\nOf Hillside.\n::: x for hillside\nOf Hillside on X.\n")
    assert texts(rendered) == {
        "riverton/x/hello": "On X.",
        "riverton/mastodon/hello": "Base.",
        "hillside/x/hello": "Of Hillside on X.",
        "hillside/mastodon/hello": "Of Hillside.",
    }
    assert rendered()["hillside/x/hello"].variant == "x for hillside"


def test_a_group_may_stand_for_its_organisations(post: Post, rendered: Words) -> None:
    post("Base.\n::: for both\nBoth.\n")
    assert set(texts(rendered).values()) == {"Both."}


def test_without_figures_is_for_organisations_without_a_row(post: Post, rendered: Words) -> None:
    post(
        "{{ org.visitors }} came.\n::: x without figures\nSome came to X.\n::: without figures\nSome came.\n"
    )
    words = texts(rendered)
    assert words["riverton/x/hello"] == "1,250 came."
    assert words["hillside/x/hello"] == "Some came to X."
    assert words["hillside/mastodon/hello"] == "Some came."
    assert rendered()["riverton/x/hello"].figures == ("1,250",)
    assert rendered()["hillside/x/hello"].figures == ()


def test_a_thread_splits_the_text_it_stands_in(post: Post, rendered: Words) -> None:
    post("One.\n::: thread\nTwo.\n::: mastodon\nAll at once.\n")
    words = texts(rendered)
    assert words["riverton/x/hello"] == "One."
    assert words["riverton/x/hello/2"] == "Two."
    assert words["riverton/mastodon/hello"] == "All at once."
    second = rendered()["riverton/x/hello/2"].content
    assert (second.part, second.parts) == (2, 2)


def test_pictures_go_with_the_first_part_of_a_thread(post: Post, rendered: Words) -> None:
    front = 'id: hello\nat: launch\naim: awareness\nmedia:\n  - {file: "media/poster.png", alt: "Hello"}'
    post("One.\n::: thread\nTwo.\n", front)
    assert len(rendered()["riverton/x/hello"].content.media) == 1
    assert rendered()["riverton/x/hello/2"].content.media == ()


def test_a_line_that_begins_with_a_backslash_and_colons_is_words(post: Post, rendered: Words) -> None:
    post("Base.\n\\::: x is not a head\n")
    assert texts(rendered)["riverton/x/hello"] == "Base.\n::: x is not a head"


def test_trailing_space_goes_and_everything_else_stays(post: Post, rendered: Words) -> None:
    post("\n\n  indented **stars** <b>&amp; [red]   \n\n\nend  \n\n\n")
    assert texts(rendered)["riverton/x/hello"] == "  indented **stars** <b>&amp; [red]\n\n\nend"


def test_windows_line_ends_become_plain(root: Path, rendered: Words) -> None:
    path = root / CAMPAIGN / "01-hello.md"
    before = texts(rendered)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert texts(rendered) == before


def test_an_emoji_with_a_joiner_and_the_flag_of_wales_pass(post: Post, rendered: Words) -> None:
    wales = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308"
    post(f"{wales} {family}\n")
    assert texts(rendered)["riverton/x/hello"] == f"{wales} {family}"


@pytest.mark.parametrize(
    "char", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u00ad", "\x1b", "\u200d", "\u2028", "\u3164"]
)
def test_a_character_that_nobody_sees_is_refused(char: str, post: Post, rendered: Words) -> None:
    post(f"Call{char}me\n")
    with pytest.raises(FilesWrong) as wrong:
        rendered()
    assert wrong.value.problems[0].code == "E114"
    assert wrong.value.problems[0].at.col == 5


def test_filters_change_letters_and_nothing_else(post: Post, rendered: Words) -> None:
    post("{{ org.area | upper }} {{ org.slug|title }} {{ hashtags }} {{ campaign.name }}\n")
    assert texts(rendered)["riverton/x/hello"] == "RIVERTON Riverton #HelloRiverton Our first campaign"


@pytest.mark.parametrize(
    "template",
    [
        "{{ org['area'] }}",
        "{{ 7 * 7 }}",
        "{{ 'x' }}",
        "{{ org.area ~ org.name }}",
        "{{ org.area if link else link }}",
        "{{ org.area | replace('a', 'b') }}",
        "{{ org.area | attr('x') }}",
        "{{ range(9) }}",
        "{{ org.__init__.__globals__ }}",
        "{{ self }}",
        "{{ loop }}",
        "{% for x in org %}{% endfor %}",
        "{# hidden #}",
        "{{- link }}",
        "{{ link -}}",
        "}}",
        "{{ }}",
        "{{ org.area is defined }}",
        "{{ (link, link) }}",
        "{{ link.__class__ }}",
        "{{ org }}",
        "{{ org.items }}",
    ],
)
def test_a_template_can_do_nothing_but_name(template: str, post: Post, rendered: Words) -> None:
    post(f"Words {template}\n")
    with pytest.raises(FilesWrong) as wrong:
        rendered()
    problem = wrong.value.problems[0]
    assert problem.code in ("E401", "E402", "E403")
    assert (problem.at.line, problem.at.col) == (6, 7)


def test_values_are_words_and_never_templates(root: Path, post: Post, rendered: Words) -> None:
    accounts = root / "accounts.yaml"
    accounts.write_text(accounts.read_text().replace("area: Riverton", 'area: "{{ org.name }}"'))
    post("In {{ org.area }}\n")
    assert texts(rendered)["riverton/x/hello"] == "In {{ org.name }}"


def test_close_keeps_its_distance_from_each_post(root: Path, post: Post, rendered: Words) -> None:
    post("Later.\n", "id: hello\nat: launch + 5h\naim: awareness")
    plan = rendered()["riverton/x/hello"].plan
    assert plan.due - plan.close == timedelta(minutes=30)
    assert plan.not_after - plan.due == timedelta(minutes=10)
    assert plan.embargo == plan.due - timedelta(hours=5)


def test_an_absolute_close_is_taken_as_it_is(root: Path, post: Post, rendered: Words) -> None:
    campaign = root / CAMPAIGN / "campaign.yaml"
    campaign.write_text(campaign.read_text().replace("30m before launch", "Mon 1 February 2027 12:00"))
    post("Later.\n", "id: hello\nat: launch + 5h\naim: awareness")
    assert rendered()["riverton/x/hello"].plan.close.isoformat() == "2027-02-01T12:00:00+00:00"


def test_the_same_files_render_to_the_same_bytes(root: Path, rendered: Words) -> None:
    first = {n: (d.content.sha256, d.plan.sha256, d.policy.sha256) for n, d in rendered().items()}
    assert {n: (d.content.sha256, d.plan.sha256, d.policy.sha256) for n, d in rendered().items()} == first


def test_a_picture_is_read_again_only_if_it_is_still_the_same(root: Path) -> None:
    workspace, _ = load(root)
    campaign = workspace.campaigns[0]
    media = render(workspace, campaign)[0].content.media[0]
    path = root / CAMPAIGN / "media/poster.png"
    assert read_media(workspace, campaign, media) == path.read_bytes()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FilesWrong) as wrong:
        read_media(workspace, campaign, media)
    assert wrong.value.problems[0].code == "E509"


def test_a_picture_that_says_where_it_was_taken_is_refused(root: Path, rendered: Words) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (50.0, 42.0, 0.0)}
    Image.new("RGB", (100, 60)).save(root / CAMPAIGN / "media/poster.png", exif=exif)
    with pytest.raises(FilesWrong) as wrong:
        rendered()
    assert wrong.value.problems[0].code == "E508"
