"""Labels that are reviewed, answers that nobody judged, how much ink there is, and narrow indexes to count by."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
CHUNK = 1_000  # entries in memory


def upgrade() -> None:
    """Add the columns, fill two of them from the images, and make the indexes anew."""
    op.add_column("feedback", sa.Column("judged", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("feedback", sa.Column("reviewed_at", sa.DateTime(timezone=True)))
    op.add_column("feedback", sa.Column("ink", sa.Double, nullable=False, server_default="0"))
    op.add_column("feedback", sa.Column("digest", sa.String, nullable=False, server_default=""))
    _measure()
    op.drop_index("feedback_newest", "feedback")
    narrow = ["true_digit", "judged", "input_kind", "visitor", "reviewed_at", "ink"]
    op.create_index("feedback_newest", "feedback", ["deleted_at", "created_at", "id", *narrow])
    op.create_index("feedback_equal", "feedback", ["deleted_at", "judged", "digest", "true_digit"])


def _measure() -> None:
    key = sa.column("id", sa.Uuid(as_uuid=False))
    feedback = sa.table("feedback", key, sa.column("image", sa.LargeBinary), sa.column("ink"), sa.column("digest"))
    page = sa.select(key, feedback.c.image).order_by(key).limit(CHUNK)
    change = (
        sa.update(feedback)
        .where(key == sa.bindparam("known"))
        .values(ink=sa.bindparam("white"), digest=sa.bindparam("sum"))
    )
    connection, rows = op.get_bind(), op.get_bind().execute(page).all()
    while rows:
        found = [
            {"known": known, "white": sum(image) / 255, "sum": hashlib.sha256(image).hexdigest()}
            for known, image in rows
        ]
        connection.execute(change, found)
        rows = connection.execute(page.where(key > rows[-1].id)).all()
