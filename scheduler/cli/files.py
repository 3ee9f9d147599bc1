"""init, check, preview, explain and schema: the commands that only read and write files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session
from scheduler.cli.main import Settings
from scheduler.cli.show import document, json_option, on_terminal, problems, say, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scheduler.domain.publisher import Publisher
    from scheduler.errors import Problem
    from scheduler.services.check import CampaignSummary, CheckReport


@click.command()
@click.argument("campaign", required=False, default="")
@json_option
@click.pass_obj
def check(settings: Settings, campaign: str, as_json: bool) -> int:
    """Read the files and say what is wrong, with file:line:col and what to do.

    Checks CAMPAIGN, or all of them. Exit code 3 where something is wrong.
    """
    from datetime import UTC, datetime

    from scheduler.files.workspace import find_root
    from scheduler.services.check import check as run

    report = run(find_root(settings.workspace), _publishers(), datetime.now(UTC), campaign=campaign)
    if as_json:
        document(
            "check",
            items=[_problem(p) for p in report.problems],
            campaigns=[_summary(c) for c in report.campaigns],
            errors=report.errors,
            warnings=report.warnings,
        )
    else:
        _print_report(report)
    return 3 if report.errors else 0


def _publishers() -> Mapping[str, Publisher]:
    from scheduler.publishers import registry

    return registry.load(registry.installed())


def _print_report(report: CheckReport) -> None:
    fits = all(p.code != "E701" for p in report.problems)
    for summary in report.campaigns:
        click.echo("\n".join(_lines(summary, fits)))
    if report.campaigns and report.problems:
        click.echo("")
    problems(report.problems)
    click.echo(f"{_count(report.errors, 'error')}, {_count(report.warnings, 'warning')}")
    if report.errors:
        first = next(p for p in report.problems if p.severity == "error")
        say(f"Next: correct it; launchday explain {first.code} says more")
    else:
        say("Next: launchday preview · launchday plan")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lines(summary: CampaignSummary, fits: bool) -> list[str]:
    posts, deliveries = _count(summary.posts, "post"), _count(summary.deliveries, "delivery")
    lines = [f"{summary.path}   {posts}, {deliveries.replace('deliverys', 'deliveries')}"]
    if summary.longest:
        texts = "  ".join(f"{x.platform} {x.length.used}/{x.length.limit}" for x in summary.longest)
        lines.append(f"  {'ok   every post fits its platform: ' if fits else ''}longest {texts}")
    if summary.pictures:
        lines.append(
            f"  ok   every picture has alt text, or is decorative ({_count(summary.pictures, 'picture')})"
        )
    if summary.aims and not summary.aims_missing:
        lines.append("  ok   every post names its aim; every aim is covered")
    return lines


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "path": problem.at.path,
        "line": problem.at.line,
        "col": problem.at.col,
        "length": problem.length,
        "text": problem.text,
        "help": problem.help,
    }


def _summary(summary: CampaignSummary) -> dict[str, Any]:
    return {
        "campaign": summary.slug,
        "path": summary.path,
        "posts": summary.posts,
        "deliveries": summary.deliveries,
        "pictures": summary.pictures,
        "longest": [
            {
                "platform": x.platform,
                "delivery": x.delivery,
                "used": x.length.used,
                "limit": x.length.limit,
                "unit": x.length.unit,
            }
            for x in summary.longest
        ],
        "aims": list(summary.aims),
        "aims_missing": list(summary.aims_missing),
    }


@click.command()
@click.argument("post", required=False, default="")
@click.option("--campaign", default="", metavar="NAME", help="Only this campaign.")
@click.option("--org", default="", metavar="A,B", help="Only these organisations or groups.")
@click.option("--platform", default="", metavar="X,Y", help="Only these platforms.")
@json_option
@click.pass_obj
def preview(settings: Settings, *, post: str, campaign: str, org: str, platform: str, as_json: bool) -> None:
    """Show posts as the public will see them: exact words, length, pictures, figures, time.

    Shows the POST of this id, or all of them.
    """
    from scheduler.cli import previews
    from scheduler.files.workspace import find_root
    from scheduler.services.preview import preview as run

    shown = run(
        find_root(settings.workspace),
        _publishers(),
        campaign=campaign,
        post=post,
        organisations=_names(org),
        platforms=_names(platform),
    )
    if as_json:
        document("preview", items=[previews.item(p) for p in shown])
    elif on_terminal():
        previews.panels(shown)
        say("Next: launchday plan")
    else:
        table(previews.COLUMNS, (previews.row(p) for p in shown))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.replace(",", " ").split() if name)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def init(settings: Settings, folder: Path | None) -> None:
    """Make a small workspace in FOLDER (or here) that passes check. Never overwrites a file."""
    from datetime import UTC, datetime

    from scheduler.files.starter import make_workspace

    root = folder or settings.workspace
    for path in make_workspace(root, datetime.now(UTC).date(), session.os_user()):
        click.echo(str(root / path))
    where = "" if root == Path() else f"-C {root} "
    say(f"Next: launchday {where}check · launchday {where}preview · launchday {where}rehearse")


@click.command()
@click.argument("code", required=False, default="")
@json_option
def explain(code: str, as_json: bool) -> None:
    """Explain an error code such as E104, with a wrong and a right example; without CODE, list all."""
    from dataclasses import asdict

    from scheduler.errors import UsageError
    from scheduler.files.codes import explanations

    known = explanations()
    wanted = code.upper().removeprefix("ERROR[").removeprefix("WARNING[").removesuffix("]")
    if wanted and wanted not in known:
        raise UsageError(f"no code '{code}'", help="launchday explain lists all of them")
    chosen = [known[wanted]] if wanted else list(known.values())
    if as_json:
        document("explain", items=[asdict(e) for e in chosen])
    elif not wanted:
        table(("code", "what"), ((e.code, e.title) for e in chosen))
    else:
        click.echo("\n".join(_explanation(chosen[0].code, chosen[0].title, chosen[0].why)))
        for name, example in (("wrong", chosen[0].wrong), ("right", chosen[0].right)):
            click.echo(f"\n{name}:\n" + "\n".join(f"    {line}" for line in example.split("\n")))


def _explanation(code: str, title: str, why: str) -> list[str]:
    import textwrap

    return [f"{code}  {title}", "", *textwrap.wrap(why, 88)]


@click.command()
@click.argument("file", type=click.Choice(["accounts", "campaign", "post"]))
def schema(file: str) -> None:
    """Print the JSON Schema of accounts.yaml, campaign.yaml or a post's front matter, for editors."""
    from scheduler.files.schema import schema as made

    click.echo(json.dumps(made(file), indent=2, ensure_ascii=False))
