"""Bringing the database up to date, and the rights each role has in it.

The owner migrates and nothing else. The application's role reads and writes rows of one tenant at a time; it cannot
change the ledger, touch the mail keys' table but through two functions, or see past row-level security.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import URL, make_url

MIGRATIONS = Path(__file__).with_name("migrations")
APPEND_ONLY = ("ledger", "certificates")
THROUGH_FUNCTIONS = ("mail_keys", "ledger_heads")


def _config(url: URL) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["owner_url"] = url
    return config


def upgrade(owner_url: str, app_role: str, auditor_role: str = "") -> str:
    """Apply every migration that is missing and give the roles their rights; return the revision reached."""
    url = make_url(owner_url).set(drivername="postgresql+psycopg")
    config = _config(url)
    command.upgrade(config, "head")
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        quoted = engine.dialect.identifier_preparer.quote(app_role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {quoted}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {quoted}",
            f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}",
            *(f"REVOKE UPDATE, DELETE ON {table} FROM {quoted}" for table in APPEND_ONLY),
            *(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {quoted}" for table in THROUGH_FUNCTIONS),
        ):
            connection.execute(text(statement))
        if auditor_role:
            auditor = engine.dialect.identifier_preparer.quote(auditor_role)
            connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {auditor}"))
            connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {auditor}"))
            connection.execute(text(f"GRANT SELECT ON clock_marks, ledger TO {auditor}"))
            connection.execute(text(f"GRANT SELECT (bucket) ON mail_keys TO {auditor}"))  # ages, never keys
    engine.dispose()
    return ScriptDirectory.from_config(config).get_current_head() or ""


def pending(url: str) -> list[str]:
    """The migrations this database still lacks, oldest first."""
    made = make_url(url).set(drivername="postgresql+psycopg")
    script = ScriptDirectory.from_config(_config(made))
    engine = create_engine(made, poolclass=pool.NullPool)
    with engine.connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    every = [step.revision for step in script.walk_revisions()][::-1]
    return every[every.index(here) + 1 :] if here in every else every
