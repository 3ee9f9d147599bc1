"""Taking, keeping and losing the right to publish: two daemons never work for the same organisation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from scheduler.domain.gates import Gate
from scheduler.errors import LaunchdayError, TryLater
from scheduler.services.clock import Clock
from scheduler.store import lease as rows
from scheduler.store.claim import Claim
from scheduler.store.database import Database
from scheduler.store.lease import Lease

LOST = Gate("lease", "another daemon has taken over; this one sends nothing any more")


@dataclass(slots=True)
class Tenure:
    """A lease that this process holds, and the claim that dies with the process."""

    db: Database
    clock: Clock
    lease: Lease
    claim: Claim

    def kept(self) -> bool:
        """Whether it still stands. A claim that broke (a database that was restarted) is taken again.

        Where somebody else was quicker, the epoch has moved on and the answer is no, for good.
        """
        if not self.claim.holds():
            self.claim.give_back()
            try:
                self.claim = Claim(self.db, self.lease.scope)
            except TryLater:
                return False
        with self.db.read() as conn:
            return rows.stands(conn, self.lease)

    def give_back(self) -> None:
        """At a daemon's end. Where the database does not answer the claim goes all the same."""
        with suppress(Exception), self.db.write() as conn:
            # A crash here leaves a lease without a claim: the next daemon takes it over.
            rows.end(conn, self.clock.wall(), self.lease)
        self.claim.give_back()


def take(db: Database, clock: Clock, scope: str) -> Tenure:
    """Claim the scope and take its lease. Raises TryLater, naming host and process of who has it."""
    try:
        claim = Claim(db, scope)
    except TryLater as busy:
        raise TryLater(
            _refusal(db, scope), help="watch it: launchday watch; or end that process where it runs"
        ) from busy
    try:
        with db.write() as conn:
            # A crash after this commit leaves a lease without a claim: the next daemon takes it over at once.
            lease = rows.take(conn, clock.wall(), scope)
    except BaseException:
        claim.give_back()
        raise
    return Tenure(db, clock, lease, claim)


def _refusal(db: Database, scope: str) -> str:
    known: list[str] = []
    with suppress(LaunchdayError), db.read() as conn:
        known = rows.holders(conn, scope)
    return f"a daemon runs on this database already ({'; '.join(known) or 'it has just started'})"
