"""The tables. Rows only: a table class does not validate, so domain values cross the border in outbox.

Instants are text as `domain.content.instant` writes them: they sort as they read, on both databases.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, text
from sqlmodel import Field, SQLModel

# What ended keeps `ended_by` even where it becomes a question again: another of its name may live by then.
_LIVE = text("state not in ('cancelled', 'retracted') and ended_by = ''")


class Control(SQLModel, table=True):
    """One row that every writer locks first: it orders gate, hold, approval and the log's numbers."""

    __tablename__ = "control"
    id: int = Field(default=1, primary_key=True)
    mode: str
    stop_epoch: int = 0
    next_seq: int = 1
    # Simulation only: how far its clock is ahead of the machine's.
    offset_ms: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    opened_at: str
    # Safe mode: since when and why nothing is sent ("" = not in safe mode).
    safe_since: str = ""
    safe_reason: str = ""


class LeaseRow(SQLModel, table=True):
    """Who may publish for a scope (`""` = every organisation, or one's name); each taking has a new epoch."""

    __tablename__ = "leases"
    scope: str = Field(primary_key=True)
    epoch: int
    holder: str  # host and process id, for people
    taken_at: str
    seen_at: str
    released_at: str = ""


class DeliveryRow(SQLModel, table=True):
    """A rendered post bound for one account (the outbox)."""

    __tablename__ = "deliveries"
    id: str = Field(primary_key=True)
    campaign: str
    post: str
    part: int
    name: str
    organisation: str
    account: str
    platform: str
    revision: int
    state: str
    author: str
    planner: str = ""  # who moved it to its present time ("" = the author)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    content_sha256: str
    plan: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    plan_sha256: str
    policy: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    policy_sha256: str
    profile: str  # the account's public parts as JSON: reconciling must work after accounts.yaml changed
    key: str
    due: str
    not_after: str
    embargo: str
    close: str
    fire_at: str
    needs: str  # JSON list of "owner:ORG", "partner:ORG", "lead:ORG"
    blackouts: str = "[]"  # JSON list of [start, end, reason]
    after: str = ""
    attempts: int = 0
    prepared: str = ""
    remote_id: str = ""
    url: str = ""
    extra: str = "{}"
    published_at: str = ""
    reason: str = ""
    ended_by: str = ""
    queued_at: str
    corrects: str = ""  # the delivery whose public words this one replaces
    retract_first: int = 0  # 1: it waits until that one is removed
    retract_asked_at: str = ""  # since when its removal is asked for
    # Reading back and removing: when the next look is, how many were made, when it was found equal.
    look_at: str = ""
    looks: int = 0
    verified_at: str = ""

    __table_args__ = (
        Index(
            "one_live_delivery_per_name",
            "campaign",
            "name",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        Index("deliveries_by_time", "state", "fire_at"),
        Index("deliveries_by_part_before", "after"),
    )


class AttemptRow(SQLModel, table=True):
    """One try at a delivery."""

    __tablename__ = "attempts"
    id: str = Field(primary_key=True)
    delivery_id: str = Field(foreign_key="deliveries.id", index=True)
    n: int
    state: str
    sender: str
    intent_at: str
    deadline: str
    ended_at: str = ""
    # Microseconds after the delivery's due instant at which its first byte was handed over (0: not sent).
    sent_us: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    code: str = ""
    detail: str = ""
    looks: int = 0
    looked_at: str = ""
    lease: int = 0  # the epoch of the lease under which the gate let it through

    __table_args__ = (
        Index(
            "one_open_attempt_per_delivery",
            "delivery_id",
            unique=True,
            sqlite_where=text("state in ('intent', 'unknown')"),
            postgresql_where=text("state in ('intent', 'unknown')"),
        ),
    )


class DecisionRow(SQLModel, table=True):
    """An approval or a rejection, bound to the hashes it was given for."""

    __tablename__ = "decisions"
    id: str = Field(primary_key=True)
    delivery_id: str = Field(foreign_key="deliveries.id", index=True)
    verdict: str  # granted, rejected, voided
    person: str
    organisation: str
    role: str  # the need it meets: owner:ORG, partner:ORG, lead:ORG
    content_sha256: str
    plan_sha256: str
    policy_sha256: str
    at: str
    wall_at: str  # by the machine's clock, also in a simulation whose clock was moved
    note: str = ""
    why: str = ""


class HoldRow(SQLModel, table=True):
    """A person's stop. `scope` is `all`, or `campaign:`, `org:`, `platform:`, `account:`, `post:` + name."""

    __tablename__ = "holds"
    id: str = Field(primary_key=True)
    scope: str
    person: str
    organisation: str
    reason: str
    started_at: str
    released_by: str = ""
    released_at: str = ""


class MediaRow(SQLModel, table=True):
    """A picture's bytes, frozen when its delivery was queued."""

    __tablename__ = "media"
    sha256: str = Field(primary_key=True)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EntryRow(SQLModel, table=True):
    """One entry of the posting log: the leaf bytes, and columns to filter by (the leaf decides)."""

    __tablename__ = "entries"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: str = Field(index=True)
    type: str = Field(index=True)
    actor: str
    campaign: str = ""
    organisation: str = ""
    account: str = ""
    delivery: str = Field(default="", index=True)


class DisclosureRow(SQLModel, table=True):
    """What opens a commitment of an entry; erasable."""

    __tablename__ = "disclosures"
    id: int | None = Field(default=None, primary_key=True)
    seq: int = Field(foreign_key="entries.seq", index=True)
    field: str
    salt: str
    value: str


class LateEvidenceRow(SQLModel, table=True):
    """What was learned of an attempt after its outcome was recorded: kept, never thrown away."""

    __tablename__ = "late_evidence"
    id: str = Field(primary_key=True)
    attempt_id: str = Field(foreign_key="attempts.id", index=True)
    delivery_id: str = Field(foreign_key="deliveries.id", index=True)
    at: str
    kind: str  # accepted, rejected, not_sent, unknown: what the late word said
    remote_id: str = ""
    url: str = ""
    detail: str = ""


class NoticeRow(SQLModel, table=True):
    """Something a named person must be told (the outbox of notifications).

    `state`: waiting, told, acknowledged, closed. `topic` is a short stable word, `about` what it concerns.
    """

    __tablename__ = "notices"
    id: str = Field(primary_key=True)
    at: str
    topic: str  # missed, failed, asking, held, safe_mode, daemon_down, mismatch …
    severity: str  # now (a person must act), soon, info
    organisation: str = ""
    delivery_id: str = ""
    about: str = ""  # the delivery's name, an account, a wave …
    said: str = ""  # one or two sentences, never a secret, never a post's text
    state: str = Field(default="waiting", index=True)
    next_at: str = ""  # when it is looked at again: told, tried again or escalated ("" = nothing is due)
    tries: int = 0
    message: str = ""  # the id of the message it went into, the same for every try
    level: int = 0  # how often it was escalated
    told: str = "[]"  # JSON list of [instant, channel, person, outcome]
    escalated_at: str = ""
    acknowledged_by: str = ""
    acknowledged_at: str = ""


def table_of(row: type[SQLModel]) -> Table:
    """The table behind a row class (SQLModel does not declare the attribute)."""
    found: Table = row.__table__  # type: ignore[attr-defined]  # because SQLModel does not declare it
    return found
