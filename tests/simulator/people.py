"""People: they queue, approve, hold, edit, move and answer, at any instant, through the real verbs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from scheduler.domain.delivery import OUT, Delivery, State
from scheduler.errors import LaunchdayError
from scheduler.services import hold as holds
from scheduler.services.clock import Clock
from scheduler.services.move import move
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.services.resolve import resolve
from scheduler.services.retract import mark
from scheduler.services.retry import retry
from scheduler.services.review import approve, reject
from scheduler.store import outbox
from scheduler.store.database import Database

from .campaign import DIRECTORY, LAUNCH, ORGANISATIONS, Wanted, actor
from .platforms import Platforms
from .witness import Witness
from .world import World

APPROVERS = {"dorset": ("bob", "bea"), "wiltshire": ("wil", "win"), "charity": ("cat", "cas")}


@dataclass
class People:
    """Everybody with a terminal. `files` is what the folder of posts says now."""

    world: World
    db: Database
    clock: Clock
    platforms: Platforms
    witness: Witness
    files: dict[str, Wanted]
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    # giving a command

    def command(self, what: str, work: Callable[[], None], *, sure: bool = False) -> None:
        """Run it as a process of its own; errors are what a terminal would show."""
        if not sure and self.world.happens("person_dies"):
            self.world.current.process.mortal = True  # type: ignore[union-attr]
        self.platforms.acts += what.startswith(("retry", "release", "move", "queue"))
        try:
            work()
            self.world.say(f"$ {what}")
        except LaunchdayError as error:
            self.world.say(f"$ {what}: {error.message}")

    def pledge(self, book: Callable[[], None]) -> None:
        """What the witness writes down when the next transaction of this process commits."""
        assert self.world.current is not None
        self.world.current.process.pledge = book

    def everything(self) -> list[Delivery]:
        """What `list` shows."""
        with self.db.read() as conn:
            return outbox.find(conn)

    # the verbs

    def queue(self, author: str = "ann", *, sure: bool = False) -> None:
        """Queue what the files say."""

        def work() -> None:
            files = dict(self.files)
            found = plan(self.db, "spring", [w.rendered() for w in files.values()], self.clock.now())
            self.pledge(lambda: self.witness.queued(files, author))
            queue(self.db, self.clock, actor(author), found, {})

        self.command(f"queue --as {author}", work, sure=sure)

    def approve(self, person: str, *, sure: bool = False) -> None:
        """Approve all that waits for this person."""

        def work() -> None:
            speaks = DIRECTORY.people[person].organisation
            mine = [
                d
                for d in self.everything()
                if d.state is State.SCHEDULED and any(n.endswith(f":{speaks}") for n in d.needs)
            ]
            if mine:
                shown = [(d.name, d.revision) for d in mine]
                self.pledge(lambda: self.witness.approved(person, shown))
                approve(self.db, self.clock, DIRECTORY, actor(person), mine)

        self.command(f"approve --as {person}", work, sure=sure)

    def reject(self, person: str) -> None:
        """Say no to one."""

        def work() -> None:
            one = self._any({State.SCHEDULED})
            if one:
                self.pledge(lambda: self.witness.refused(person, one.name))
                reject(self.db, self.clock, DIRECTORY, actor(person), [one], "no")

        self.command(f"reject --as {person}", work)

    def hold(self, scope: str) -> None:
        """Stop."""

        def work() -> None:
            self.pledge(lambda: self.witness.held(scope))
            holds.hold(self.db, self.clock, actor("cat"), scope, "stop", patience=1.0)

        self.command(f"hold {scope}", work)

    def release(self, scope: str, *, resume: bool, sure: bool = False) -> None:
        """Go on."""

        def work() -> None:
            self.pledge(lambda: self.witness.released(scope))
            soon = timedelta(seconds=20)
            holds.release(self.db, self.clock, actor("cat"), scope, "go", resume=resume, soon=soon)

        self.command(f"release {scope}{' --resume' if resume else ''}", work, sure=sure)

    def hold_for_a_while(self, scope: str) -> None:
        """Stop; mostly somebody lets it go on within a minute."""
        self.hold(scope)
        if self.world.dice.random() > 0.3:
            at = self.world.now + self.world.dice.choice((0.5, 3, 20, 60))
            go_on = lambda: self.release(scope, resume=True)  # noqa: E731 - because it is one line
            self.world.start("cat", go_on, mortal=False, at=at)

    def cancel(self) -> None:
        """Take one or a few out."""

        def work() -> None:
            one = self._any()
            if one:
                gone = [d for d in self.everything() if d.account == one.account and d.post == one.post]
                self.pledge(self.witness.cancelled)
                holds.cancel(self.db, self.clock, actor("bob"), gone, "no")

        self.command("cancel", work)

    def move(self) -> None:
        """Another time for one wave, or for one delivery."""

        def work() -> None:
            one = self._any()
            if not one:
                return
            dice = self.world.dice
            whole = dice.random() > 0.5
            wanted = [
                d
                for d in self.everything()
                if (d.due == one.due and d.account == one.account) or (whole and d.due == one.due)
            ]
            to = max(LAUNCH, self.clock.now()) + timedelta(seconds=dice.choice((300, 90, 61, 1800)))
            to = to.replace(microsecond=0)
            who = dice.choice(("cas", "bob"))
            names = [d.name for d in wanted]
            self.pledge(lambda: self.witness.moved(names, to, who))
            move(self.db, self.clock, actor(who), wanted, to, "later")
            for name in names:
                known = self.witness.book.get(name)
                if known is not None and name in self.files and known.due == to:
                    self.files[name] = replace(self.files[name], due=to)

        self.command("move", work)

    def edit(self) -> None:
        """Other words, another time, or out with it; then queue."""
        dice = self.world.dice
        name = dice.choice(sorted(self.files)) if self.files else ""
        if not name:
            return
        old = self.files[name]
        kind = dice.random()
        if kind < 0.6:
            self.files[name] = replace(old, version=old.version + 1, helped=dice.random() > 0.7)
        elif kind < 0.9:
            due = max(LAUNCH, self.clock.now()) + timedelta(seconds=dice.choice((120, 75, 600)))
            self.files[name] = replace(old, due=due.replace(microsecond=0), version=old.version + 1)
        else:
            del self.files[name]
        self.queue()

    def mend(self) -> None:
        """New tokens for the accounts whose old ones were refused; then their holds end."""
        for account in sorted(self.platforms.refused):
            self.platforms.refused.discard(account)
            self.release(f"account:{account}", resume=self.world.dice.random() > 0.3)

    def answer(self) -> None:
        """Look with one's own eyes and say what is there, once nothing is on its way any more."""
        for one in self.everything():
            if one.state is not State.ASKING or self.platforms.still_coming(one.account):
                continue
            post = self.platforms.seen(one.account, one.content.text)
            url = f"https://{one.platform}.example/{one.account}/{post.number}" if post else ""

            def work(one: Delivery = one, url: str = url) -> None:
                resolve(self.db, self.clock, actor("bob"), one, url, "I looked")

            self.command(f"resolve {one.name} {'--published' if url else '--not-published'}", work)

    def retry(self) -> None:
        """Once more, what failed or was missed."""

        def work() -> None:
            gone = [d for d in self.everything() if d.state in (State.FAILED, State.MISSED)]
            retry(self.db, self.clock, actor("bob"), gone, "once more", soon=timedelta(seconds=20))

        self.command("retry", work)

    def retract(self) -> None:
        """Remove one that is out, or the whole post."""

        def work() -> None:
            one = self._any(OUT)
            if one:
                whole = self.world.dice.random() > 0.5
                gone = [
                    d for d in self.everything() if d.post == one.post and (whole or d.account == one.account)
                ]
                mark(self.db, self.clock, actor("bob"), gone, "it was wrong")

        self.command("retract", work)

    def _any(self, states: Iterable[State] = ()) -> Delivery | None:
        wanted = set(states)
        every = [d for d in self.everything() if not wanted or d.state in wanted]
        trouble = [d for d in every if d.state is State.SCHEDULED and d.attempts]
        if trouble and self.world.dice.random() > 0.5:
            return self.world.dice.choice(trouble)  # people look at what is in trouble
        return self.world.dice.choice(every) if every else None

    # their day

    def anything(self) -> None:
        """One thing that somebody does."""
        dice = self.world.dice
        scopes = (
            "all",
            "org:dorset",
            "platform:listing",
            "platform:key",
            "post:spring/launch",
            "campaign:spring",
        )
        verbs: tuple[Callable[[], None], ...] = (
            lambda: self.hold(dice.choice(scopes)),
            lambda: self.release(dice.choice((*scopes, "all", "all")), resume=dice.random() > 0.4),
            self.edit,
            self.move,
            self.cancel,
            lambda: self.reject(dice.choice(("bob", "wil", "cat"))),
            lambda: self.approve(dice.choice(APPROVERS[dice.choice(ORGANISATIONS)])),
            self.queue,
            self.answer,
            self.retry,
            self.retract,
        )
        dice.choice(verbs)()

    def plans(self, last: float) -> tuple[float, Callable[[], None]]:
        """When somebody does something, and what: often at an instant at which it matters.

        Before a wave (the gate is about 0.1 s before it), between gate and first byte, while replies are on
        their way, while something is in doubt, and as its window closes; there people mostly stop or change.
        """
        dice = self.world.dice
        if not self.world.happens("person_acts_at_t0"):
            begin = LAUNCH.timestamp() - 800
            return begin + dice.random() * (last + 1500 - begin), self.anything
        due = dice.choice(sorted({w.due.timestamp() for w in self.files.values()}))
        off = dice.choice((_near, _near, _gate, _gate, _gate, _flight, _doubt, _close))(dice)
        return due + off, self.anything if dice.random() > 0.7 else self.stop_or_change

    def stop_or_change(self) -> None:
        """Something that must reach a wave that is about to go."""
        dice = self.world.dice
        scopes = ("all", "org:dorset", "platform:record", "platform:write-only", "post:spring/launch")
        verbs: tuple[Callable[[], None], ...] = (
            lambda: self.hold_for_a_while(dice.choice(scopes)),
            lambda: self.reject(dice.choice(("bob", "wil", "cat"))),
            self.cancel,
            self.move,
            self.edit,
        )
        dice.choice(verbs)()

    def everyone_approves(self) -> None:
        """Two of each organisation, so that a mover does not approve alone."""
        for organisation in ORGANISATIONS:
            for person in APPROVERS[organisation]:
                self.approve(person)

    def at(self, when: float) -> datetime:
        """An instant of the world's clock."""
        return datetime.fromtimestamp(when, UTC)


def _near(dice: random.Random) -> float:
    return dice.choice((-20, -5, -2, -1, -0.5, -0.3, 0.001, 0.1, 1))


def _gate(dice: random.Random) -> float:
    return -0.3 + dice.random() * 0.3 if dice.random() > 0.6 else -0.11 + dice.random() * 0.11


def _flight(dice: random.Random) -> float:
    return dice.random() * 4


def _doubt(dice: random.Random) -> float:
    return 4 + dice.random() * 300


def _close(dice: random.Random) -> float:
    return 600 + dice.choice((-20, -1, -0.1, 0.1, 1, 5, 30))
