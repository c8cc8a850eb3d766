"""A run, its checkpoints, and what its training loop logs."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigKey, EmptyList, Now


class Run(Base):
    """A model being trained or evaluated: a series of checkpoints."""

    __tablename__ = "runs"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    tags: Mapped[EmptyList]
    notes: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]
    archived_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class Checkpoint(Base):
    """A policy at one step of a run; a static model has step 0."""

    __tablename__ = "checkpoints"
    id: Mapped[BigKey]
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    step: Mapped[int]
    created_at: Mapped[Now]
    __table_args__ = (UniqueConstraint("run_id", "step"), CheckConstraint("step >= 0", name="step"))


class Model(Base):
    """Weights as a job loaded them last under a name: their folder, and the sha256 of what lies in it."""

    __tablename__ = "models"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    path: Mapped[str]
    revision: Mapped[str | None]  # the commit that a name on the hub meant
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Now]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class TrainingGroup(Base):
    """The rewards of one problem at one training step, and the credits they became.

    A resumed run logs the same steps again in a new segment, so nothing is overwritten.
    """

    __tablename__ = "training_groups"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True, server_default=text("0"))
    step: Mapped[int] = mapped_column(primary_key=True)
    group_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    problem: Mapped[str]
    rewards: Mapped[list[float | None]]  # null = missing
    credits: Mapped[list[float | None]]
    completions: Mapped[list[str] | None]
    k: Mapped[dict[str, Any]]  # {"8": 1.0}, or weights of several k
    transform: Mapped[str]
    scale: Mapped[str]
    created_at: Mapped[Now]
    __table_args__ = (CheckConstraint("cardinality(rewards) = cardinality(credits)", name="credits"),)


class Metric(Base):
    """A number that a training loop logs at a step; it may be NaN, as losses are."""

    __tablename__ = "metrics"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True, server_default=text("0"))
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]
    created_at: Mapped[Now]
