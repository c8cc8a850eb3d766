"""The version of an evaluation's statistics, another one after every change

Set by triggers, so that no writer can forget it. They lock the evaluation's row until the writer commits. Rows of
evaluation_problems are added with no completions, which changes nothing: a trigger there would take that lock before
the rows are locked in key order, and two writers could wait for each other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Two events cannot share a transition table.
CHANGES = (("evaluation_problems", "update"), ("group_statistics", "insert"), ("group_statistics", "update"))


def upgrade() -> None:
    version = sa.Column("statistics_version", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)
    op.add_column("evaluations", version)
    op.execute(
        "CREATE FUNCTION another_statistics_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE evaluations SET statistics_version = gen_random_uuid()"
        " WHERE id IN (SELECT evaluation_id FROM changed); RETURN NULL; END $$"
    )
    for table, event in CHANGES:
        op.execute(
            f"CREATE TRIGGER another_statistics_version_on_{event} AFTER {event} ON {table}"
            " REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION another_statistics_version()"
        )


def downgrade() -> None:
    for table, event in CHANGES:
        op.execute(f"DROP TRIGGER another_statistics_version_on_{event} ON {table}")
    op.execute("DROP FUNCTION another_statistics_version()")
    op.drop_column("evaluations", "statistics_version")
