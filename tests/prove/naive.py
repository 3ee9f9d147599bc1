"""Two senders as one writes them without thinking of crashes: what the harness must find fault with.

`retry` marks a delivery as published after the platform's answer, and sends again what is not marked.
`mark` marks it first, and sends then. Neither has a key. Arming, platforms and database are ours.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import requests
from sqlalchemy import text

from scheduler.app import open_app
from scheduler.domain.delivery import State
from scheduler.services.arm import arm as arm_all
from scheduler.services.reach import Reach
from scheduler.store import outbox
from scheduler.transport.http import Transport
from tests.prove import marks
from tests.prove.life import APPROVED, LAUNCH


def main() -> int:
    """Wait for T0, send one after another, until all are marked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-C", dest="root", type=Path)
    parser.add_argument("run")
    parser.add_argument("--way", choices=["retry", "mark"])
    asked = parser.parse_args()
    app = open_app(asked.root, "simulation")
    transport = Transport(now=app.clock.seconds)
    reach = Reach(app.publishers(), transport, app._place(), app._secret())
    while True:
        with app.db.read() as conn:
            waiting = [d for d in outbox.find(conn, states=[State.SCHEDULED]) if d.organisation in APPROVED]
        if not waiting:
            return 0
        ready, _ = arm_all(app.db, reach, waiting, (app.clock.seconds() + 5))
        time.sleep(max(0.0, (LAUNCH - app.clock.now()).total_seconds()))

        def published(delivery: str) -> None:
            with app.db.write() as conn:
                conn.execute(text("update deliveries set state = 'published' where id = :i"), {"i": delivery})

        for one in ready:
            marks.mark("burst")
            if asked.way == "mark":
                published(one.delivery.id)
                marks.mark("settled")
            wanted, token = one.shot.request, {"Authorization": f"Bearer {one.shot.token}"}
            try:
                headers = {n: v for n, v in wanted.headers if n != "Idempotency-Key"} | token
                requests.request(wanted.method, wanted.url, headers=headers, data=wanted.body, timeout=2)
            except requests.RequestException:
                continue
            marks.mark("replies")
            if asked.way == "retry":
                published(one.delivery.id)


if __name__ == "__main__":
    sys.exit(main())
