"""audit: an auditor's question, its answer, and exit 9 where the answer is a finding."""

from __future__ import annotations

import click

from scheduler.cli import session, show
from scheduler.cli.show import json_option
from scheduler.errors import UsageError


@click.command()
@click.argument("question", default="")
@json_option
@click.pass_context
def audit(ctx: click.Context, question: str, as_json: bool) -> int:
    """Ask the posting log a QUESTION; without one, list the questions."""
    from scheduler.services.audit import QUESTIONS, ask

    if not question:
        rows = [{"question": name, "asks": asks} for name, (asks, _) in QUESTIONS.items()]
        columns = {"question": lambda r: r["question"], "asks": lambda r: r["asks"]}
        show.items("audit", rows, columns, as_json=as_json)
        return 0
    if question not in QUESTIONS:
        raise UsageError(f"'{question}' is no question", help=f"there are: {', '.join(QUESTIONS)}")
    with session.opened(ctx) as app:
        answer = ask(app.db, question)
    names = ("seq", "at", "delivery", "who", "said")
    if as_json:
        show.document(
            "audit", question=question, asks=answer.asked, items=list(answer.findings), entries=answer.entries
        )
    elif answer.findings:
        show.table(names, ([f[n] for n in names] for f in answer.findings))
    show.say(
        f"{answer.asked} {len(answer.findings) or 'No'} finding(s), in a log of {answer.entries} entries."
    )
    return 9 if answer.findings else 0
