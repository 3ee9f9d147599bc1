"""Whether the secrets of what is due can be read: asked in a process of its own.

The process that becomes the daemon never holds a token, so it has itself told by another one.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.app import App


def unreadable(app: App, organisation: str, until: datetime) -> dict[str, str]:
    """Account → why its secret cannot be read, for live deliveries due by `until`. No secret comes back."""
    from scheduler.domain.content import instant

    command = [sys.executable, "-m", "scheduler.cli.secrets", str(app.root), organisation, instant(until)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)


def main(root: str, organisation: str, until: str) -> None:
    """Print a line for each account whose secret cannot be read."""
    from scheduler.app import open_app
    from scheduler.domain.content import parse_instant
    from scheduler.domain.delivery import State
    from scheduler.errors import LaunchdayError
    from scheduler.services import secret
    from scheduler.store import outbox

    app = open_app(Path(root), "live")
    try:
        with app.db.read() as conn:
            due = outbox.find(
                conn, states=[State.SCHEDULED], until=parse_instant(until), organisation=organisation
            )
        for name in dict.fromkeys(d.account for d in due):
            account = app.directory.account(name)
            try:
                if account is not None:
                    secret.read(account.secret, root=app.root, environ=app.environ)
            except LaunchdayError as error:
                print(f"{name}\t{error.message}; {error.help}")  # noqa: T201 - because this is its data
    finally:
        app.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
