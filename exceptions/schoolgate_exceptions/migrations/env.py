"""Runs the migrations on the connection it is handed; there is no other way to run them."""

from alembic import context

from schoolgate_exceptions import (  # noqa: F401 - they add their tables to the metadata
    box_tables,
    event_tables,
    probe_tables,
    sample_tables,
)
from schoolgate_exceptions.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the transaction is the caller's
    render_as_batch=True,  # SQLite changes a column by copying its table
)
context.run_migrations()
