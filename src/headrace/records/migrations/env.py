"""Alembic's entry: it runs the migrations on the connection that it is handed."""

from alembic import context

from headrace.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
