"""Simulated platforms of every capability class, each with its own ledger of what the public saw and when."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from scheduler.domain.publisher import Capability

from .network import NEVER, Answer, Asked
from .world import World

SETTLED = 140.0  # seconds after a request by which its post is committed and shown, in every mix but `beyond`
HOUR = 3600.0


@dataclass(eq=False)
class Post:
    """One entry of a ledger. `shown_at`: when looks begin to show it; `removed_at`: when it was removed."""

    number: int
    account: str
    key: str
    words: str
    parent: str
    at: float
    shown_at: float
    removed_at: float = NEVER
    removed_by: str = ""
    beyond: bool = False

    def there(self, now: float) -> bool:
        """Whether the public sees it."""
        return self.at <= now < self.removed_at

    def shown(self, now: float) -> bool:
        """Whether a look shows it."""
        return self.shown_at <= now < self.removed_at


@dataclass
class Container:
    """What a container platform was given, and which post it became."""

    account: str
    words: str
    parent: str
    post: Post | None = None


@dataclass
class Platforms:
    """All platforms of a day. `tell` is told each first byte of a publishing request."""

    world: World
    tell: Callable[[Asked, str, str, str], None]
    posts: list[Post] = field(default_factory=list)
    pending: list[tuple[float, str, str]] = field(default_factory=list)
    containers: dict[str, Container] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[Post, float]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    refused_since: dict[str, tuple[float, tuple[float, ...]]] = field(default_factory=dict)
    throttled: dict[str, float] = field(default_factory=dict)
    asked_back: dict[tuple[str, str], tuple[float, tuple[float, ...]]] = field(default_factory=dict)
    acts: int = 0  # other tries that people asked for so far: then no pause binds any more
    blind: dict[str, float] = field(default_factory=dict)
    ignores_keys: dict[str, bool] = field(default_factory=dict)
    faults: list[tuple[float, str, str]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def _unrest(self) -> tuple[float, ...]:
        """While this is the same, no sender died or was stopped, and nobody asked for another try."""
        senders = [p for p in self.world.processes if p.name.startswith("wave")]
        gone, stops = sum(p.code == -9 for p in senders), sum(len(p.stops) for p in senders)
        return (gone, stops, self.acts, self.world.clock_error)

    # what arrives

    def first_byte(self, asked: Asked) -> None:
        """The first byte of a request leaves: a witness looks, if it is one that publishes."""
        if asked.method == "POST" and asked.path == "/posts":
            account, words, key = self._meant(asked)
            back, then = self.asked_back.get((account, words), (0.0, self._unrest()))
            if self.world.now < back - 2.5 and then == self._unrest():
                early = back - self.world.now
                self.world.broken.append(f"{account} asked for a pause: “{words}” came {early:.1f} s early")
            since, then = self.refused_since.get(account, (self.world.now, ()))
            if self.world.now > since + 40 and account in self.refused and then == self._unrest():
                self.world.broken.append(f"{account} refused our token, and was sent “{words}” after that")
            self.tell(asked, account, words, key)

    def answer(self, asked: Asked) -> Answer:
        """A whole request has arrived."""
        now, dice = self.world.now, self.world.dice
        slow = 2 + dice.random() * 23 if self.world.happens("slow_reply") else dice.random() * 0.6
        at = now + slow
        account = asked.token.removeprefix("sim:")
        if asked.path == "/":  # asked for the time
            return Answer(at, 200, {}, {"Date": formatdate(now, usegmt=True)})
        if account in self.refused:
            return Answer(at, 401, {"error": "bad token"})
        if asked.method == "POST" and asked.path == "/posts":
            return self._publish(asked, at)
        if asked.method == "POST":
            return self._prepare(asked, account, at)
        if asked.method == "DELETE":
            return self._remove(asked, at)
        return self._look(asked, account, at)

    def _meant(self, asked: Asked) -> tuple[str, str, str]:
        account = asked.token.removeprefix("sim:")
        words, key = asked.body.get("text", ""), asked.body.get("key", "")
        if name := asked.body.get("container", ""):
            words = self.containers[name].words
        return account, words, key

    # publishing

    def _publish(self, asked: Asked, at: float) -> Answer:
        """One publishing request: what becomes of it is the dice's to say."""
        world, now = self.world, self.world.now
        account, words, _ = self._meant(asked)
        lost = Answer(NEVER) if world.dice.random() < 0.7 else Answer(at, cut=True)
        fault = self._fault(account)
        if fault != "ok":
            world.say(f"     {account}: {fault} for “{words}”")
            self.faults.append((now, account, fault))
        if fault in ("rejected", "unauthorised"):
            if fault == "unauthorised":
                self.refused.add(account)
                self.refused_since[account] = (now, self._unrest())
            status = 422 if fault == "rejected" else 401
            return Answer(at, status, {"error": fault})
        if fault == "throttled":
            answer = self._throttle(account, at)
            said = str(answer.headers.get("Retry-After", ""))
            # A clock that is wrong reads the platform's times wrongly: that is told, and not held against it.
            if said.isdecimal() and 1 <= int(said) <= HOUR and not self.world.clock_error:
                self.asked_back[account, words] = (now + int(said), self._unrest())
            return answer
        if fault in ("error_before_commit", "request_lost"):
            return Answer(at, 503, {"error": "busy"}) if fault == "error_before_commit" else lost
        if fault == "dropped":
            return Answer(at, 200, {"id": f"gone-{next(self._numbers)}"})
        if fault in ("commit_late", "commit_later"):
            later = fault == "commit_later"
            delay = 200 + world.dice.random() * 1500 if later else 25 + world.dice.random() * (SETTLED - 30)
            self._commit_later(asked, now + delay, beyond=later)
            return Answer(NEVER)
        post = self._commit(
            asked, now, words if fault != "rewritten" else f"{words} [shortened by the platform]"
        )
        if post is None:
            return Answer(at, 409, {"error": "already published"})
        return {
            "error_after_commit": Answer(at, 500, {"error": "please retry"}),
            "reply_lost": lost,
            "reply_garbled": Answer(at, 200, "fine"),
        }.get(fault, Answer(at, 200, {"id": str(post.number), "text": post.words}))

    def _fault(self, account: str) -> str:
        names = (
            "rejected",
            "unauthorised",
            "throttled",
            "error_before_commit",
            "error_after_commit",
            "request_lost",
            "reply_lost",
            "reply_garbled",
            "commit_late",
            "commit_later",
            "dropped",
            "rewritten",
        )
        if self.world.now < self.throttled.get(account, 0):
            return "throttled"
        drawn = self.world.dice.random()
        for name in names:
            drawn += self.world.mix[name]
            if drawn > 1:
                return name
        return "ok"

    def _throttle(self, account: str, at: float) -> Answer:
        world = self.world
        wait = 2 + world.dice.random() * 60
        self.throttled[account] = world.now + wait
        headers = {"Date": formatdate(world.now, usegmt=True)}
        if world.happens("throttled_names_time"):
            said: Any = round(wait + 1)
            if world.happens("throttled_absurdly"):
                said = world.dice.choice(("0", "-5", "31536000", "soon", formatdate(1), "999999999999"))
            headers["Retry-After"] = str(said)
        return Answer(at, 429, {"error": "slow down"}, headers)

    def _commit_later(self, asked: Asked, at: float, *, beyond: bool) -> None:
        account, words, _ = self._meant(asked)
        entry = (at, account, words)
        self.pending.append(entry)

        def land() -> None:
            self.world.sleep(at - self.world.now)
            self.pending.remove(entry)
            post = self._commit(asked, self.world.now, words)
            if post is not None:
                post.beyond = beyond
                post.shown_at = post.at

        self.world.start(f"{account} server", land, mortal=False)

    def _commit(self, asked: Asked, now: float, words: str) -> Post | None:
        """The post is on the ledger, unless the platform has it by its key. None: a used container."""
        world = self.world
        account, _, key = self._meant(asked)
        kind = asked.host.partition(".")[0]
        if kind == Capability.RECORD and (known := self._known(account, key)):
            return known
        if kind == Capability.KEY and not self._ignores_keys(account):
            post, until = self.keys.get((account, key), (None, 0.0))
            if post is not None and now < until:
                return post
        container = self.containers.get(asked.body.get("container", ""))
        if container is not None and container.post is not None:
            return None
        lag = world.dice.random() * 40 if world.happens("read_lag") else 0.0
        if world.happens("read_lag_long"):
            lag = 200 + world.dice.random() * 1500
        parent = asked.body.get("parent", "") if container is None else container.parent
        post = Post(next(self._numbers), account, key, words, parent, now, now + lag, beyond=lag > SETTLED)
        world.say(f"     {account}: POSTED #{post.number} “{words}”")
        self.posts.append(post)
        self.keys[account, key] = (post, now + HOUR)
        if container is not None:
            container.post = post
        if world.happens("vanishes"):
            post.removed_at, post.removed_by = now + world.dice.random() * HOUR, "platform"
        return post

    def _known(self, account: str, key: str) -> Post | None:
        now = self.world.now
        return next((p for p in self.posts if (p.account, p.key) == (account, key) and p.there(now)), None)

    def _ignores_keys(self, account: str) -> bool:
        if account not in self.ignores_keys:
            self.ignores_keys[account] = self.world.happens("key_ignored")
        return self.ignores_keys[account]

    # everything else

    def _prepare(self, asked: Asked, account: str, at: float) -> Answer:
        world = self.world
        if world.happens("prepare_refused"):
            return Answer(at, 422, {"error": "refused"})
        if world.happens("prepare_fails"):
            failed = Answer(at, 503, {"error": "busy"}), self._throttle(account, at), Answer(NEVER)
            return world.dice.choice(failed)
        if asked.path == "/containers":
            name = f"c{next(self._numbers)}"
            self.containers[name] = Container(account, asked.body["text"], asked.body.get("parent", ""))
            return Answer(at, 200, {"id": name})
        return Answer(at, 200, {"id": "m1"})

    def _remove(self, asked: Asked, at: float) -> Answer:
        world = self.world
        number = asked.path.rpartition("/")[2]
        post = next((p for p in self.posts if str(p.number) == number), None)
        if world.happens("look_fails"):
            return world.dice.choice((Answer(at, 503, {}), Answer(NEVER), Answer(at, 404, {})))
        if post is not None and post.there(world.now):
            post.removed_at, post.removed_by = world.now, "us"
        return Answer(at, 200, {})

    def _look(self, asked: Asked, account: str, at: float) -> Answer:
        world, kind = self.world, asked.host
        if world.happens("looks_fail_long"):
            self.blind[kind] = world.now + 1200
        if world.now < self.blind.get(kind, 0) or world.happens("look_fails"):
            return world.dice.choice(
                (Answer(at, 503, {"error": "busy"}), Answer(NEVER), Answer(at, cut=True))
            )
        shown = [p for p in self.posts if p.account == account and p.shown(world.now)]
        what, _, name = asked.path.strip("/").partition("/")
        if what == "containers":
            container = self.containers.get(name)
            post = container.post if container else None
            if post is not None and not post.shown(world.now) and post.there(world.now):
                post = None
            body = (
                {"status": "PUBLISHED", "id": str(post.number), "text": post.words}
                if post
                else {"status": "FINISHED"}
            )
            return Answer(at, 200, body)
        if what == "records":
            shown = [p for p in shown if p.key == name]
        elif name:
            shown = [p for p in shown if str(p.number) == name]
        if (what == "records" or name) and not shown:
            return Answer(at, 404, {"error": "not found"})
        return Answer(at, 200, [{"id": str(p.number), "text": p.words, "at": p.at} for p in shown])

    # what a person sees who looks with their own eyes

    def seen(self, account: str, words: str) -> Post | None:
        """The post that the public sees now."""
        now = self.world.now
        return next(
            (p for p in self.posts if p.account == account and p.there(now) and same(p.words, words)), None
        )

    def still_coming(self, account: str) -> bool:
        """Whether a request of this account is still on its way inside the platform."""
        return any(a == account for _, a, _ in self.pending)


def same(shown: str, words: str) -> bool:
    """Whether what is shown is the post with these words, rewritten or not."""
    return shown == words or shown.startswith(f"{words} [")
