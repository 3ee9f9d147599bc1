"""doctor: is everything in place? One fix per line."""

from __future__ import annotations

import click

from scheduler.cli import session, show
from scheduler.cli.show import json_option


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> int:
    """Check clock, disk, database, log, secrets and daemon; one fix per line."""
    from scheduler.cli.running import daemon_said
    from scheduler.domain.delivery import IN_DOUBT, State
    from scheduler.services import secret
    from scheduler.services.doctor import examine
    from scheduler.store import outbox

    with session.opened(ctx) as app:
        with app.db.read() as conn:
            counts = outbox.counts(conn)
        needed = any(counts.get(s) for s in {State.SCHEDULED, *IN_DOUBT})
        found = list(
            examine(
                app.db,
                app.folder,
                app.directory.accounts,
                lambda account: secret.read(account.secret, root=app.root, environ=app.environ),
                live=app.mode == "live",
                daemon=daemon_said(app),
                needed=bool(needed),
            )
        )
    if as_json:
        rows = [{"level": f.level, "what": f.what, "said": f.said, "fix": f.fix} for f in found]
        show.document("doctor", items=rows)
    else:
        for f in found:
            fix = f"   fix: {f.fix}" if f.fix else ""
            show.put(f"{f.level:4}  {f.what:12} {f.said}{fix}")
    bad = [f.code for f in found if f.level == "bad"]
    # Where several apply: 8, then 7, then the others.
    return next((code for code in (8, 7, 4, 1) if code in bad), 0)
