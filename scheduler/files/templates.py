"""Templates: Jinja2 in its immutable sandbox, and of its language only `{{ name.attribute | filter }}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scheduler.errors import Problem, Source
from scheduler.files.fields import suggest
from scheduler.files.source import SourceFile

LARGEST = 20_000  # characters, before and after filling in
_PLAIN = ("link", "hashtags")
_OBJECTS = ("org", "campaign")
_HELP = (
    "a template is {{ org.NAME }}, {{ link }}, {{ hashtags }} or {{ campaign.name }}, perhaps with a filter"
)
_OPENING = re.compile(r"\{\{|\{%|\{#|\}\}|%\}|#\}")


def _thousands(text: object) -> str:
    """`1234` as `1,234`; what is no plain whole number stays as it is."""
    written = str(text)
    return f"{int(written):,}" if re.fullmatch(r"[0-9]{1,15}", written) else written


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
    filters = {"upper": str.upper, "lower": str.lower, "title": str.title, "trim": str.strip}
    environment.filters.clear()
    environment.filters.update({**filters, "capitalize": str.capitalize, "thousands": _thousands})
    environment.globals.clear()
    environment.tests.clear()
    return environment


_ENVIRONMENT = _environment()
FILTERS = tuple(_ENVIRONMENT.filters)


@dataclass(frozen=True, slots=True)
class Values:
    """What the templates of one organisation may use; `figures` is None where it has no row."""

    organisation: str
    org: Mapping[str, str]
    figures: Mapping[str, str] | None
    figure_names: frozenset[str]
    campaign: Mapping[str, str]
    link: str = ""
    hashtags: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled-in template, and the figures it used."""

    text: str
    figures: tuple[str, ...] = ()


class Unfilled(Exception):
    """A template that cannot be filled in: code, reason, remedy, and where in its text."""

    def __init__(self, code: str, message: str, help: str, start: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.code, self.message, self.help, self.start, self.length = code, message, help, start, length


@dataclass(frozen=True, slots=True)
class _Use:
    """One `{{ … }}`: what it names and where."""

    name: str
    attribute: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: Template
    uses: tuple[_Use, ...] = field(default_factory=tuple)


def fill(text: str, values: Values) -> Filled:
    """The text with every template filled in. Raises Unfilled."""
    if "{" not in text and "}" not in text:
        return Filled(text)
    compiled = _compile(text)
    used = [v for v in (_figure(use, values) for use in compiled.uses) if v is not None]
    try:
        result = compiled.template.render(
            org=SimpleNamespace(**{**values.org, **(values.figures or {})}),
            campaign=SimpleNamespace(**values.campaign),
            link=values.link,
            hashtags=values.hashtags,
        )
    except TemplateError as error:  # the checks above leave nothing to raise; a way out all the same
        raise Unfilled("E402", str(error), _HELP) from None
    if len(result) > LARGEST:
        raise Unfilled("E405", f"{len(result)} characters after filling in", f"at most {LARGEST} are taken")
    return Filled(result, tuple(dict.fromkeys(used)))


@lru_cache(maxsize=2048)
def _compile(text: str) -> _Compiled:
    if len(text) > LARGEST:
        raise Unfilled("E405", f"a text of {len(text)} characters", f"at most {LARGEST} are taken")
    places = _places(text)
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateError as error:
        raise Unfilled("E401", f"not a template: {error}", _HELP, *_on_line(text, error)) from None
    outputs = [n for output in tree.body if isinstance(output, nodes.Output) for n in output.nodes]
    expressions = [n for n in outputs if not isinstance(n, nodes.TemplateData)]
    if len(expressions) != len(places) or not all(isinstance(n, nodes.Output) for n in tree.body):
        raise Unfilled("E402", "more than a template may do", _HELP, *(places[0] if places else (0, 1)))
    uses = tuple(_use(node, *place) for node, place in zip(expressions, places, strict=True))
    return _Compiled(_ENVIRONMENT.from_string(text), uses)


def _places(text: str) -> list[tuple[int, int]]:
    """Start and length of every `{{ … }}`; anything else that Jinja would act on is refused."""
    places, at = [], 0
    while (found := _OPENING.search(text, at)) is not None:
        if found.group() != "{{":
            what = {"{%": "a block", "{#": "a comment"}.get(
                found.group(), f"'{found.group()}' without its beginning"
            )
            code = "E402" if found.group() in ("{%", "{#") else "E401"
            raise Unfilled(code, f"{what} in the text", _HELP, found.start(), 2)
        end = text.find("}}", found.end())
        if end < 0 or "\n" in text[found.start() : end]:
            raise Unfilled(
                "E401", "'{{' is never closed", "write '}}' behind it, on the same line", found.start(), 2
            )
        inner = text[found.end() : end]
        if inner.startswith(("-", "+")) or inner.endswith(("-", "+")) or "{" in inner:
            raise Unfilled(
                "E402", "more than a template may do", _HELP, found.start(), end + 2 - found.start()
            )
        places.append((found.start(), end + 2 - found.start()))
        at = end + 2
    return places


def _on_line(text: str, error: TemplateError) -> tuple[int, int]:
    number = getattr(error, "lineno", 1) or 1
    start = sum(len(line) + 1 for line in text.split("\n")[: number - 1])
    brace = text.find("{", start)
    start = brace if brace >= 0 else start
    end = text.find("}}", start)
    return start, end + 2 - start if end >= 0 else 1


def _use(node: nodes.Node, start: int, length: int) -> _Use:
    """The whitelist: a name, or an attribute of a name, through filters without arguments."""
    while isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            raise Unfilled("E402", f"no filter '{node.name}'", suggest(node.name, FILTERS), start, length)
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
            raise Unfilled(
                "E402", f"the filter '{node.name}' takes nothing in brackets", _HELP, start, length
            )
        node = node.node
    if isinstance(node, nodes.Name) and node.ctx == "load":
        return _Use(node.name, "", start, length)
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.ctx == "load":
        return _Use(node.node.name, node.attr, start, length)
    raise Unfilled("E402", "more than a template may do", _HELP, start, length)


def _figure(use: _Use, values: Values) -> str | None:
    """Check that what is named is there; the number if it is a figure."""

    def missing(written: str, known: list[str]) -> Unfilled:
        return Unfilled(
            "E403", f"'{written}' is not known here", suggest(written, known), use.start, use.length
        )

    if use.name not in (*_PLAIN, *_OBJECTS):
        raise missing(use.name, [*_PLAIN, *_OBJECTS])
    if use.name in _PLAIN:
        if use.attribute:
            raise missing(f"{use.name}.{use.attribute}", [use.name])
        if use.name == "link" and not values.link:
            raise Unfilled(
                "E403", "the post has no link", "add 'link:' to it or to campaign.yaml", use.start, use.length
            )
        return None
    have = {**values.org, **(values.figures or {})} if use.name == "org" else dict(values.campaign)
    if use.attribute in have:
        return values.figures.get(use.attribute) if use.name == "org" and values.figures else None
    if use.name == "org" and use.attribute in values.figure_names:
        raise Unfilled(
            "E404",
            f"{values.organisation} has no row in figures.csv, and these words use '{use.attribute}'",
            f"add a row for {values.organisation} to figures.csv, or a '::: without figures' variant",
            use.start,
            use.length,
        )
    known = [f"{use.name}.{name}" for name in (*have, *values.figure_names)]
    raise missing(f"{use.name}.{use.attribute}" if use.attribute else use.name, sorted(set(known)))


def problem_of(wrong: Unfilled, text: str, at: Source, file: SourceFile | None) -> Problem:
    """The problem at its place: `at` is where the template's text begins in its file."""
    before = text[: wrong.start]
    line = at.line + before.count("\n")
    col = wrong.start - (before.rfind("\n") + 1) + (at.col if line == at.line else 1)
    if file is None:
        return Problem(wrong.code, wrong.message, Source(at.path, line, col), wrong.help)
    return file.problem(wrong.code, wrong.message, wrong.help, line=line, col=col, length=wrong.length)
