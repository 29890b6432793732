"""Let a tenant's own programs in: their keys, what changed since they asked last, how numbers are dialled and routed.

The statements stand in the .sql file of the same name, as they were run.
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
