"""API keys: 256 random bits shown once, their sha256 at rest."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal, get_args

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import AppError
from app.models import ApiKey, AuditLog, Project

Scope = Literal["read", "write", "jobs", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
DEFAULT_PROJECT = "default"
REMEMBERED_FOR = 1.0  # seconds that a revoked key may still be accepted
MOST_REMEMBERED = 10_000
LONGEST_NAME: Final = 200


class NoKey(AppError):
    """A request without a key that this server knows."""

    status, type = 401, "unauthorized"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("Send an API key: `Authorization: Bearer <key>`. `pkpo keys create` makes one on the server.")


class ScopeMissing(AppError):
    """A key that may not do this."""

    status, type = 403, "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This key has not the scope {scope!r}, which this route asks for.")


class KeyNameTaken(AppError):
    """Two keys of one name could not be told apart in the audit log."""

    status, type = 409, "key-name-taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a key named {name!r} already; give this one another name.")


class KeyNameUnreadable(AppError):
    """A name that would break the list of keys."""

    status, type = 422, "key-name-unreadable"

    def __init__(self, length: int) -> None:
        super().__init__(f"A key's name has 1 to {LONGEST_NAME} printable characters, on one line; got {length}.")


class KeyNeeded(Exception):
    """The service would be reachable from other machines with no key in force."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"PKPO_HOST={host} can be reached from other machines, and there is no API key: refusing to start. "
            "Make one first: pkpo keys create NAME"
        )


@dataclass(frozen=True)
class Caller:
    """Who a request comes from: a project, and the key if there was one."""

    project_id: int
    api_key_id: int | None
    scopes: frozenset[str]


def _active() -> ColumnElement[bool]:
    unexpired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return ApiKey.revoked_at.is_(None) & unexpired


def any_active_key(session: Session) -> bool:
    """Whether some key is in force."""
    return bool(session.scalar(select(select(ApiKey.id).where(_active()).exists())))


def any_unrevoked_key(session: Session) -> bool:
    """Whether there is a key that nobody took back; if the last one only expired, that must not open the service."""
    return bool(session.scalar(select(select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).exists())))


def refuse_open_service(session: Session, settings: Settings) -> None:
    """Raise KeyNeeded where other machines could reach a service that asks nobody for a key."""
    if not settings.listens_on_loopback and not any_active_key(session):
        raise KeyNeeded(settings.host)


def create_key(session: Session, name: str, scopes: list[Scope], expires_at: datetime | None) -> str:
    """The new key's token. It is nowhere kept: whoever loses it makes another one."""
    if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise KeyNameUnreadable(len(name))
    project_id = default_project(session)
    if session.scalar(select(ApiKey.id).where(ApiKey.project_id == project_id, ApiKey.name == name)):
        raise KeyNameTaken(name)
    token = f"pkpo_{secrets.token_urlsafe(32)}"
    key = ApiKey(project_id=project_id, name=name, sha256=_digest(token), scopes=list(scopes), expires_at=expires_at)
    session.add(key)
    session.flush()
    session.add(
        AuditLog(project_id=project_id, api_key_id=key.id, action="key.create", subject=name, detail={"scopes": scopes})
    )
    return token


def revoke_key(session: Session, name: str) -> bool:
    """Whether there was an active key of this name to revoke."""
    key = session.scalar(select(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)))
    if key is None:
        return False
    key.revoked_at = func.now()
    session.add(AuditLog(project_id=key.project_id, api_key_id=key.id, action="key.revoke", subject=name))
    return True


def list_keys(session: Session) -> list[ApiKey]:
    """Every key there ever was, the newest last."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.id)))


@dataclass
class KeyRing:
    """Who a bearer token belongs to, remembered for a second: most calls then ask the database nothing.

    Keys are looked up by their digest: what timing could tell of it is of no use to somebody who cannot choose digests.
    """

    open_to_all: bool  # on loopback every caller passes while there is no key, or none that was not revoked
    _remembered: dict[bytes, tuple[float, Caller]] = field(default_factory=dict)

    def recall(self, token: str | None) -> Caller | None:
        """Who was found to have sent this token within the last second."""
        until, caller = self._remembered.get(_digest(token), (0.0, None))
        return caller if time.monotonic() < until else None

    def look_up(self, session: Session, token: str | None) -> Caller:
        """Who sent the token; NoKey where nobody known did."""
        caller = self._holder(session, token)
        if caller is None:
            raise NoKey
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[_digest(token)] = (time.monotonic() + REMEMBERED_FOR, caller)
        return caller

    def _holder(self, session: Session, token: str | None) -> Caller | None:
        if self.open_to_all and not any_unrevoked_key(session):
            return Caller(default_project(session), None, frozenset(SCOPES))
        key = session.scalar(select(ApiKey).where(ApiKey.sha256 == _digest(token), _active()))
        return None if key is None else Caller(key.project_id, key.id, frozenset(key.scopes))


def default_project(session: Session) -> int:
    """The id of the project of whoever names none."""
    return session.scalars(select(Project.id).where(Project.name == DEFAULT_PROJECT)).one()


def _digest(token: str | None) -> bytes:
    return hashlib.sha256((token or "").encode()).digest()
