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


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Health:
    """Says nothing of the database."""
    return Health()


@router.get("/readyz", summary="Whether the service can serve")
def readyz(session: SessionDep) -> Health:
    """It can where the database answers and has this version's schema; 503 says why it cannot."""
    if not schema_is_current(session):
        raise NotReady
    return Health()
