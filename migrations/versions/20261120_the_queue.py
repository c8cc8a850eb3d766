"""The tables of procrastinate 3.10.0, as its release has them: a branch of its own, for they follow its versions"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "procrastinate_3_10_0"
down_revision = None
branch_labels = ("queue",)
depends_on = None

SQL = Path(__file__).resolve().parent.parent / "sql" / "procrastinate_3.10.0.sql"
DROP = """
DO $$ DECLARE found record; BEGIN
  DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers CASCADE;
  FOR found IN SELECT oid FROM pg_proc WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = 'public'::regnamespace
  LOOP EXECUTE format('DROP FUNCTION %s CASCADE', found.oid::regprocedure); END LOOP;
  DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_event_type, procrastinate_job_status;
END $$
"""


def upgrade() -> None:
    op.execute(sa.text(SQL.read_text()))


def downgrade() -> None:
    op.execute(sa.text(DROP))
