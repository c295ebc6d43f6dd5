"""Feedback and answers, as the first version made them, which kept no record of its steps."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make the two tables where they are missing."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("session_id", sa.String, nullable=False),
        sa.Column("visitor", sa.String),
        sa.Column("input_kind", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("true_digit", sa.Integer),
        sa.Column("comment", sa.String, nullable=False),
        sa.Column("strokes", sa.Text, nullable=False),
        sa.Column("picture", sa.LargeBinary),
        sa.Column("image", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    columns = ["deleted_at", "created_at", "id", "true_digit"]
    op.create_index("feedback_newest", "feedback", columns, if_not_exists=True)
    op.create_table(
        "answer",
        sa.Column("feedback_id", sa.Uuid(as_uuid=False), sa.ForeignKey("feedback.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("digit", sa.Integer, nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
