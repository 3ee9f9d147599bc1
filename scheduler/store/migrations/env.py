"""Alembic's entry: runs on the connection it is given, never opens one."""

from alembic import context
from sqlmodel import SQLModel

from scheduler.store import tables  # noqa: F401 - because importing it fills the metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
