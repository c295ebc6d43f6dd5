"""Takes the steps on the connection that `digit_core.database` lends; Alembic runs it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
