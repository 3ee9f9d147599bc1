"""leases, late evidence, notices, safe mode, reading back, corrections."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    """A text column that rows written before it leave empty."""
    return sa.Column(name, sa.String(), nullable=False, server_default="")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def upgrade() -> None:
    """Apply."""
    op.add_column("control", _text("safe_since"))
    op.add_column("control", _text("safe_reason"))
    for column in (_text("corrects"), _text("look_at"), _number("looks"), _text("verified_at")):
        op.add_column("deliveries", column)
    op.add_column("deliveries", _number("retract_first"))
    op.add_column("deliveries", _text("retract_asked_at"))
    op.drop_index("one_live_delivery_per_name", "deliveries")
    live = sa.text("state not in ('cancelled', 'retracted') and ended_by = ''")
    op.create_index(
        "one_live_delivery_per_name",
        "deliveries",
        ["campaign", "name"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    op.add_column("attempts", _number("lease"))
    op.create_table(
        "leases",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("taken_at", sa.String(), nullable=False),
        sa.Column("seen_at", sa.String(), nullable=False),
        sa.Column("released_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "late_evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("attempt_id", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"]),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_late_evidence_attempt_id", "late_evidence", ["attempt_id"])
    op.create_index("ix_late_evidence_delivery_id", "late_evidence", ["delivery_id"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("next_at", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("escalated_at", sa.String(), nullable=False),
        sa.Column("acknowledged_by", sa.String(), nullable=False),
        sa.Column("acknowledged_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notices_state", "notices", ["state"])


def downgrade() -> None:
    """Refuse: a log is never made smaller."""
    raise NotImplementedError("a database is brought back by restoring a backup")
