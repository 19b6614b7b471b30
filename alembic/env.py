"""Alembic's entry: runs the migrations on the connection that ``db/schema.py`` gives."""

from alembic import context

from imageservice.db import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.metadata)
with context.begin_transaction():
    context.run_migrations()
