"""Every error of Launchday, the tree drawn first.

LaunchdayError                what a user sees: one sentence, what to do next, an exit code
├── UsageError          2     the command line asks for something that cannot be
├── FilesWrong          3     files of the workspace are wrong (a list of problems with positions)
├── SecretError         4     a secret is missing, unreadable or refused
├── ApprovalError       5     an approval is missing, void or not this person's to give
├── DeliveriesFailed    6     some deliveries failed, were missed, or are unconfirmed
├── LogBroken           8     the posting log does not verify
├── TryLater           75     somebody else holds the lock, or the disk or database is busy
├── StoreError          1     the database is damaged, of the wrong mode, or too new
└── RefusedTransition   1     a state change that the table in domain/delivery does not have
PublishError                  what a publisher says of a request (never shown raw to a user)
├── Rejected                  a definite refusal: certainly not out
│   └── Unauthorised          the token or its scope was refused
├── RetryLater                429: certainly not out, try again at a named time
├── NotSent                   certainly before the first byte (DNS, connect, TLS, last look)
├── OutcomeUnknown            anything else: it may be out
├── CannotTell                a look that could not answer
└── NotReady                  preparing did not succeed; nothing was published
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a file: path relative to the workspace, line and column counted from 1."""

    path: str
    line: int = 1
    col: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.col}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: a stable code, where, the offending line, and what to do.

    `length` is how many characters the caret line underlines; `text` is the source line
    as it stands in the file (empty where the file cannot be read as lines).
    """

    code: str
    message: str
    at: Source
    help: str
    text: str = ""
    length: int = 1
    severity: Severity = "error"


class LaunchdayError(Exception):
    """What a user sees. `help` says what to do next; `exit_code` is the process's exit code."""

    exit_code = 1

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(LaunchdayError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class FilesWrong(LaunchdayError):
    """Files of the workspace are wrong; `problems` says where (at least one)."""

    exit_code = 3

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        errors = sum(p.severity == "error" for p in problems)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} in the files")
        self.problems = problems


class SecretError(LaunchdayError):
    """A secret is missing, unreadable or refused. The message never holds the secret."""

    exit_code = 4


class ApprovalError(LaunchdayError):
    """An approval is missing, void, or not this person's to give."""

    exit_code = 5


class DeliveriesFailed(LaunchdayError):
    """Some deliveries failed, were missed, or are unconfirmed."""

    exit_code = 6


class LogBroken(LaunchdayError):
    """The posting log does not verify."""

    exit_code = 8


class TryLater(LaunchdayError):
    """Somebody else holds the lock, or the disk or database is busy."""

    exit_code = 75


class StoreError(LaunchdayError):
    """The database is damaged, of the wrong mode, or made by a newer Launchday."""


class RefusedTransition(LaunchdayError):
    """A state change that the transition table does not have, or whose seen state was stale."""


class PublishError(Exception):
    """What a publisher says of a request. `code` is short and stable, `detail` is for people.

    Neither may hold a secret: both go into the posting log.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class Rejected(PublishError):
    """A definite refusal that the publisher recognises: the post is certainly not out."""


class Unauthorised(Rejected):
    """The token or its scope was refused: certainly not out, and the account needs a person."""


class RetryLater(PublishError):
    """429: certainly not out. `at` is the earliest instant (UTC) the platform will take it."""

    def __init__(self, code: str, detail: str = "", *, at: datetime | None = None) -> None:
        super().__init__(code, detail)
        self.at = at


class NotSent(PublishError):
    """It failed before the first byte of the publishing request left this machine."""


class OutcomeUnknown(PublishError):
    """Anything else: the post may be out. The default."""


class CannotTell(PublishError):
    """A look that could not say whether the post is there."""


class NotReady(PublishError):
    """Preparing did not succeed (media refused, still processing …). Nothing was published."""
