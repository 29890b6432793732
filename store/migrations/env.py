"""How Alembic reaches the database: as the role that owns the tables, named by the caller, never by a file."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from store.tables import metadata

config = context.config


def migrate() -> None:
    engine = create_engine(config.attributes["owner_url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext('linekeeper migrations'))"))  # one at a time
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


migrate()
