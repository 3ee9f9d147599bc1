"""The process that tells people: `python -m scheduler.notifier`. Secrets of channels live only here."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scheduler.app import App, open_app
from scheduler.domain.account import Directory
from scheduler.domain.message import Message
from scheduler.errors import LaunchdayError, TryLater
from scheduler.services import notify, secret
from scheduler.services.channels import Teller
from scheduler.store import lock
from scheduler.transport.http import Transport


def main(argv: Sequence[str] | None = None) -> int:
    """Tell what is due, once, and leave; errors go to stderr as one line."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.notifier")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--mode", required=True)
    parser.add_argument("--accounts", type=Path, help="the folder of the accounts.yaml to believe")
    asked = parser.parse_args(argv)
    try:
        app = open_app(asked.root, asked.mode, accounts=asked.accounts)
        # One at a time. Where another tells (the observer), or the database is busy, the daemon asks again.
        with suppress(TryLater), lock.Lock(app.folder / "notifier.lock", "people are being told"):
            for line in tell_due(app):
                sys.stderr.write(f"{line}\n")
    except LaunchdayError as error:
        sys.stderr.write(f"{error.message} ({error.help})\n" if error.help else f"{error.message}\n")
        return error.exit_code
    except Exception as error:
        if os.environ.get("LAUNCHDAY_DEBUG") == "1":
            raise
        sys.stderr.write(f"telling people broke: {type(error).__name__}\n")
        return 1
    return 0


def tell_due(app: App) -> list[str]:
    """Tell everything that is due; one line for people about each message."""
    wanted = notify.tasks(app.db, app.clock, app.directory)
    if not wanted:
        return []
    made = teller(app.directory, app.mode, reader(app.root, app.environ))
    try:
        outcomes = made.tell([(t.message, t.reached) for t in wanted])
    finally:
        made.transport.close()
    notify.record(app.db, app.clock, list(zip(wanted, outcomes, strict=True)))
    told = zip(wanted, outcomes, strict=True)
    return [line for task, outcome in told for line in said(task.message, outcome)]


def teller(directory: Directory, mode: str, read: Callable[[str], str]) -> Teller:
    """What tells, with the certificates of accounts.yaml, and its proxy where it is live."""
    proxy = directory.proxy if mode == "live" else ""
    return Teller(directory, Transport(proxy=proxy, ca=directory.ca, now=time.time), read)


def reader(root: Path, environ: Mapping[str, str]) -> Callable[[str], str]:
    """What reads a channel's secret. It raises SecretError."""
    return lambda reference: secret.read(reference, root=root, environ=environ)


def said(message: Message, outcomes: notify.Outcomes) -> list[str]:
    """What became of one message, for the daemon's screen."""
    if not outcomes:
        return []
    reached = [pair for pair, how in outcomes.items() if how in notify.REACHED]
    simulated = all(outcomes[pair] == "simulated" for pair in reached)
    people = list(dict.fromkeys(person or channel for channel, person in reached))
    lines = []
    if reached:
        verb = "would tell" if simulated else "told"
        lines.append(f"{'told':12}{message.subject}: {verb} {', '.join(people)}")
    for pair, how in outcomes.items():
        if how not in notify.REACHED:
            lines.append(f"{'not told':12}{message.subject}: {' '.join((*pair, how)).strip()}")
    return lines


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A server that still holds a thread of ours must not hold the process: all that counts is written.
    os._exit(code)
