"""What all tables share: names of constraints, and the column types that come back again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, DateTime, Double, Identity, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column


class Base(DeclarativeBase):
    """The parent of every table."""

    # Constraints have names, so that a migration can speak of them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        int: BigInteger,
        str: Text,
        float: Double,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[float]: ARRAY(Double),
        list[float | None]: ARRAY(Double),
    }


BigKey = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
PublicId = Annotated[UUID, mapped_column(Uuid, unique=True, server_default=text("gen_random_uuid()"))]
# The database's clock decides: the machines of a service do not agree on the time.
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=text("now()"))]
EmptyList = Annotated[list[str], mapped_column(ARRAY(Text), server_default=text("'{}'"))]
EmptyObject = Annotated[dict[str, Any], mapped_column(JSONB, server_default=text("'{}'"))]


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """A check that a text column holds one of a closed set of words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)
