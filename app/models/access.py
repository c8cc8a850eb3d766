"""Who may call, and what was done: projects, keys, the audit log, answers kept for repeated requests."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigKey, EmptyObject, Now


class Project(Base):
    """A namespace of runs, problem sets and verifiers, part of every natural key; one until keys name others."""

    __tablename__ = "projects"
    id: Mapped[BigKey]
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[Now]


class ApiKey(Base):
    """A bearer token: 256 random bits of which only the sha256 is kept."""

    __tablename__ = "api_keys"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class AuditLog(Base):
    """What was done to keys, runs and jobs, by whom: rows are only ever added."""

    __tablename__ = "audit_log"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    api_key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id", ondelete="SET NULL"))
    at: Mapped[Now]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[EmptyObject]


class IdempotencyKey(Base):
    """The stored answer of a POST that succeeded, replayed when the same key comes again with the same body."""

    __tablename__ = "idempotency_keys"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str]
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    media_type: Mapped[str]
    location: Mapped[str | None]
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Now] = mapped_column(index=True)
