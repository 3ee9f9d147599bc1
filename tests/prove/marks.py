"""Where a process stands in a launch: one byte in shared memory, written as it goes, read when it is dead.

`install` puts a mark in front of (and behind) the functions of a launch, and shortens the spans of a
simulation; nothing else of the code under test is touched.
"""

from __future__ import annotations

import functools
import importlib
import mmap
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

SLOTS, _SIZE = 4096, 8
STEPS = (
    "",
    "start",
    "arming",
    "armed",
    "connecting",
    "connected",
    "gate",
    "intents written, not committed",
    "gate passed",
    "last look",
    "burst",
    "replies",
    "settle",
    "outcomes written, not committed",
    "settled",
    "adopt",
    "look",
    "conclude",
    "looked",
    "windows",
    "read back",
)
_shared = mmap.mmap(-1, SLOTS * _SIZE)
_me: int | None = None
_aim: dict[str, Any] | None = None
_fire: Callable[[Mapping[str, Any]], None] = print


def clear(slot: int) -> None:
    """Before a process gets the slot."""
    struct.pack_into("B", _shared, slot * _SIZE, 0)


def step_of(slot: int) -> str:
    """The step in which the process of this slot is, or was when it died."""
    return STEPS[struct.unpack_from("B", _shared, slot * _SIZE)[0]]


def begin(slot: int, aim: dict[str, Any] | None, fire: Callable[[Mapping[str, Any]], None]) -> None:
    """In a new process: which slot is its own, and at which step it is to be hit."""
    global _me, _aim, _fire
    _me, _aim, _fire = slot, dict(aim) if aim else None, fire


def mark(step: str) -> None:
    """We are in this step now."""
    global _aim  # noqa: PLW0603
    if _me is None:
        return
    struct.pack_into("B", _shared, _me * _SIZE, STEPS.index(step))
    aim = _aim
    if aim and aim["step"] == step:
        aim["nth"] -= 1
        if aim["nth"] <= 0:
            _aim = None
            _fire(aim)
            while aim["pause"]:
                time.sleep(0.05)
                if aim["n"] != 9:
                    return  # it was stopped here, and goes on


def _around(module: str, name: str, before: str, after: str = "") -> None:
    """Put marks around a function ("" = none), where its users will find it."""
    owner: Any = importlib.import_module(module)
    *classes, last = name.split(".")
    for one in classes:
        owner = getattr(owner, one)
    inner = getattr(owner, last)

    @functools.wraps(inner)
    def marked(*given: Any, **named: Any) -> Any:
        if before:
            mark(before)
        found = inner(*given, **named)
        if after:
            mark(after)
        return found

    setattr(owner, last, marked)


def _fired(module: str) -> None:
    """The last look and each request begun: they happen inside `Volley.fire`, through what it is given."""
    owner = importlib.import_module(module).Volley
    inner = owner.fire

    @functools.wraps(inner)
    def fire(self: Any, *given: Any, **named: Any) -> Any:
        look, each = named["last_look"], named.get("after_each")

        def looked() -> bool:
            mark("last look")
            said: bool = look()
            return said

        def begun(number: int) -> None:
            mark("burst")
            if each is not None:
                each(number)

        found = inner(self, *given, **{**named, "last_look": looked, "after_each": begun})
        mark("replies")
        return found

    owner.fire = fire


def _leaking() -> None:
    """The control of the canaries: whoever serialises a request says its token aloud."""
    wire = importlib.import_module("scheduler.transport.wire")
    inner = wire.serialise

    def serialise(request: Any, token: str = "") -> bytes:
        sys.stderr.write(f"sending with {token}\n")
        raw: bytes = inner(request, token)
        return raw

    wire.serialise = serialise


def install(settings: Mapping[str, Any]) -> None:
    """Marks in all the steps; `settings["timing"]` are a simulation's spans in seconds."""
    if settings.get("leak"):
        _leaking()
    # From the inside out: whoever takes a function by name must find the marked one.
    _around("scheduler.store.outbox", "open_attempts", "", "intents written, not committed")
    _around("scheduler.store.outbox", "settle_attempts", "", "outcomes written, not committed")
    _around("scheduler.services.settle", "settle", "settle", "settled")
    _around("scheduler.services.gate", "gate", "gate", "gate passed")
    _around("scheduler.services.arm", "arm", "arming", "armed")
    _around("scheduler.services.reconcile", "adopt", "adopt")
    _around("scheduler.services.reconcile", "_conclude", "conclude")
    _around("scheduler.services.reconcile", "reconcile", "look", "looked")
    _around("scheduler.services.windows", "close_windows", "windows")
    _around("scheduler.transport.volley", "Volley.connect", "connecting", "connected")
    _fired("scheduler.transport.volley")
    timing = importlib.import_module("scheduler.services.timing")
    spans = {name: timedelta(seconds=value) for name, value in settings.get("timing", {}).items()}
    for mode in settings.get("modes", ["SIMULATION"]):
        setattr(timing, mode, replace(getattr(timing, mode), **spans))
    for name, value in settings.get("set", {}).items():
        module, _, attribute = name.rpartition(":")
        setattr(importlib.import_module(module), attribute, value)


def timing_of(settings: Mapping[str, Any], base: Any) -> Any:
    """The same spans for the process that watches."""
    return replace(base, **{n: timedelta(seconds=v) for n, v in settings.get("timing", {}).items()})
