"""Jobs that workers take: what a worker must be able to do, until when it has the job, attempts that do not count"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = ("tables",)  # beside that of the queue
depends_on = None


def upgrade() -> None:
    # No release has had a way to make a job: there is no row that would need a capability.
    op.add_column("jobs", sa.Column("capability", sa.Text(), nullable=False))
    op.add_column("jobs", sa.Column("forgiven", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("jobs", sa.Column("rate", sa.Double(), nullable=True))
    op.drop_index("ix_jobs_heartbeat_at", table_name="jobs")
    op.alter_column("jobs", "heartbeat_at", new_column_name="leased_until")
    op.create_index("ix_jobs_leased_until", "jobs", ["leased_until"], postgresql_where=sa.text("state = 'running'"))
    op.create_index("ix_jobs_id", "jobs", ["id"], postgresql_where=sa.text("state = 'queued'"))
    op.create_check_constraint(op.f("ck_jobs_forgiven"), "jobs", "0 <= forgiven AND forgiven <= attempt")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_jobs_forgiven"), "jobs")
    op.drop_index("ix_jobs_id", table_name="jobs")
    op.drop_index("ix_jobs_leased_until", table_name="jobs")
    op.alter_column("jobs", "leased_until", new_column_name="heartbeat_at")
    op.create_index("ix_jobs_heartbeat_at", "jobs", ["heartbeat_at"], postgresql_where=sa.text("state = 'running'"))
    for column in ("rate", "forgiven", "capability"):
        op.drop_column("jobs", column)
