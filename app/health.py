"""Whether the process lives, and whether it can serve."""

from collections.abc import Mapping
from typing import ClassVar

from fastapi import APIRouter
from pydantic import BaseModel

from app.db import SessionDep, schema_is_current
from app.errors import AppError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A service that is well."""

    status: str = "ok"


class NotReady(AppError):
    """A database whose schema is not this version's."""

    status, type = 503, "not-ready"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__("The database has another version's schema: run `pkpo migrate`.")


@router.get("/healthz")
async def healthz() -> Health:
    """The process lives; says nothing of the database."""
    return Health()


@router.get("/readyz")
def readyz(session: SessionDep) -> Health:
    """The database answers and has this version's schema."""
    if not schema_is_current(session):
        raise NotReady
    return Health()
