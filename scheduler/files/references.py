"""Secret references and web addresses as files write them; a secret that stands there is never repeated."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from scheduler.files.fields import Word
from scheduler.files.source import Findings, SourceFile

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_REFERENCE = re.compile(r"env:[A-Za-z_]\w*|file:\S.*|keyring:[^/\s]+/\S+|cred:[\w.-]+", re.ASCII)


def reference(word: Word | None, file: SourceFile, found: Findings) -> str:
    """The reference. Whatever else stands there is taken for a secret and never repeated."""
    if word is None or _REFERENCE.fullmatch(word.text):
        return word.text if word else ""
    text = file.line(word.line)
    end = word.col - 1 + min(word.length, max(0, len(text) - word.col + 1))
    masked = text[: word.col - 1] + "*" * (end - word.col + 1) + text[end:]
    problem = word.problem(
        file,
        "E601",
        "a secret must not stand in a file; write where it is kept",
        "env:NAME, file:PATH, keyring:SERVICE/NAME or cred:NAME. If this was a real token, revoke it now",
    )
    found.add(type(problem)(problem.code, problem.message, problem.at, problem.help, masked, problem.length))
    return ""


def web_address(word: Word | None, file: SourceFile, found: Findings, *, plain_allowed: bool = False) -> str:
    """The address without a trailing slash; https, or http to this machine (`plain_allowed`: to any)."""
    if word is None or not word.text:
        return ""

    def refuse(message: str, help: str) -> None:
        found.add(word.problem(file, "E603", message, help))

    try:
        parts = urlsplit(word.text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.username is not None or parts.password is not None:
        refuse("a name or password in an address", "take it out; secrets are references")
    elif not host or port == 0 or re.search(r"\s", word.text) or parts.query or parts.fragment:
        refuse("not a web address", "write it like https://social.example")
    elif parts.scheme != "https" and not (parts.scheme == "http" and (plain_allowed or host in LOOPBACK)):
        refuse("an address must begin with https://", "write https:// (http only for 127.0.0.1)")
    return word.text.rstrip("/")
