"""Protocol bugs, planted in the production source as it is imported: each must be found by simulated days.

A bug is an edit of source text, so it reaches every caller. Where a second layer would catch it too, that
layer is taken away as well, and `what` says so. An edit that fits nothing any more is an error.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from . import doubt, records, stops, times, unaimed
from .mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*stops.MUTANTS, *times.MUTANTS, *doubt.MUTANTS, *records.MUTANTS)
UNAIMED = unaimed.MUTANTS
BY_NAME = {m.name: m for m in (*MUTANTS, *UNAIMED)}


class Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of a mutant with their edits."""

    def __init__(self, mutant: Mutant) -> None:
        self._edits: dict[str, list[tuple[str, str]]] = {}
        for module, old, new in mutant.edits:
            self._edits.setdefault(module, []).append((old, new))

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Ours, with the usual one's file."""
        if name not in self._edits:
            return None
        usual = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert usual
        assert usual.origin
        return importlib.util.spec_from_file_location(
            name, usual.origin, loader=_Edited(name, usual.origin, self._edits[name])
        )


class _Edited(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: list[tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> Any:
        """Compiled from the edited text; nothing is cached."""
        text = self.get_data(self.path).decode()
        return compile(edited(text, self._edits, fullname), self.path, "exec", dont_inherit=True)


def edited(text: str, edits: Sequence[tuple[str, str]], where: str) -> str:
    """The text with the edits. Raises LookupError where one fits nothing."""
    for old, new in edits:
        if old not in text:
            raise LookupError(f"{where} has no longer: {old}")
        text = text.replace(old, new)
    return text


def plant(name: str) -> None:
    """From now on imports have the bug. Raises KeyError for an unknown name, LookupError for a stale one."""
    if any(m in sys.modules for m, _, _ in BY_NAME[name].edits):
        raise LookupError("a module of this mutant was imported before it was planted")
    sys.meta_path.insert(0, Planter(BY_NAME[name]))
