"""Which weights an evaluation was sampled from: their hash, and the commit that a name on the hub meant"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("model_sha256", sa.LargeBinary(), nullable=True))
    op.add_column("models", sa.Column("revision", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("models", "revision")
    op.drop_column("evaluations", "model_sha256")
