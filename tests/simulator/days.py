"""Many days: played one after another, counted, and what they say in figures."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .day import Day, Store
from .mix import MIXES, Mix
from .naive import DESIGNS

GUARDED = ("record", "container", "key")  # the classes with a record or a key


def chosen(name: str, rates: Sequence[str] = ()) -> Mix:
    """The mix of that name, with `NAME=VALUE` instead of some of its rates."""
    mix = MIXES[name]
    given = dict(one.partition("=")[::2] for one in rates)
    return mix.but(**{n: float(v) for n, v in given.items()}) if given else mix


def play(
    seeds: Iterable[int], mix: Mix, trace: Callable[[str], None] | None = None, naive: str = ""
) -> Iterator[tuple[int, Day]]:
    """Play the day of each seed, on one store."""
    store = Store()
    try:
        for seed in seeds:
            day = Day(store, random.Random(seed), mix, trace)
            day.design = DESIGNS[naive] if naive else None
            yield seed, day.run()
    finally:
        store.close()


@dataclass
class Tally:
    """What many days came to."""

    days: int = 0
    violations: int = 0
    residual: int = 0
    bad: list[int] = field(default_factory=list)
    deliveries: Counter[str] = field(default_factory=Counter)
    asks: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    deaths: int = 0

    def count(self, seed: int, day: Day) -> None:
        """Add a day."""
        self.days += 1
        self.violations += len(day.violations)
        self.residual += len(day.residual)
        if day.violations:
            self.bad.append(seed)
        self.deliveries.update(day.deliveries)
        self.asks.update(day.asks)
        self.ends.update(day.ends)
        self.sent += len(day.witness.firsts)
        self.deaths += day.world.deaths

    def add(self, other: dict[str, object]) -> None:
        """Add what another process has counted (its `raw`)."""
        for name in ("days", "violations", "residual", "sent", "deaths"):
            setattr(self, name, getattr(self, name) + other[name])
        self.bad += other["bad"]  # type: ignore[operator]
        for name in ("deliveries", "asks", "ends"):
            getattr(self, name).update(other[name])

    def raw(self) -> dict[str, object]:
        """Everything counted, as plain values."""
        names = ("days", "violations", "residual", "sent", "deaths")
        maps = ("deliveries", "asks", "ends")
        return (
            {n: getattr(self, n) for n in names}
            | {n: dict(getattr(self, n)) for n in maps}
            | {"bad": self.bad}
        )

    def share(self, classes: Iterable[str] = ()) -> float:
        """The share of deliveries that ended with a question to a person."""
        names = list(classes) or list(self.deliveries)
        return sum(self.asks[n] for n in names) / max(1, sum(self.deliveries[n] for n in names))

    def figures(self) -> dict[str, object]:
        """For people and for `make prove`."""
        return {
            "days": self.days,
            "violations": self.violations,
            "residual": self.residual,
            "bad_seeds": self.bad[:20],
            "deliveries": sum(self.deliveries.values()),
            "requests": self.sent,
            "killed": self.deaths,
            "ask_share": round(self.share(), 4),
            "ask_share_guarded": round(self.share(GUARDED), 4),
            "ask_share_by_class": {n: round(self.share([n]), 4) for n in sorted(self.deliveries)},
            "ends": dict(self.ends),
        }
