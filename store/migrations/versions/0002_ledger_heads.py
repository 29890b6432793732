"""Let the ledger's oldest rows go after their time, and keep where the chain then begins.

The statements stand in the .sql file of the same name, as they were run.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
