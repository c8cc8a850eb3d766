"""Problems, completions, what verifiers say of them, and the counts that curves are drawn from.

`evaluation_id` leads every key of completions and verifications, so that partitioning stays mechanical.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.models.base import Base, BigKey, EmptyObject, Now, PublicId, one_of

VERIFICATION_STATUSES = (
    "passed",
    "failed",
    "scored",
    "timeout",
    "oom",
    "output_limit",
    "crash",
    "infrastructure_error",
)


class ProblemSet(Base):
    """`name@version`; open sets take unknown problems, closed ones do not."""

    __tablename__ = "problem_sets"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[str]
    closed: Mapped[bool] = mapped_column(server_default=sql("false"))
    created_at: Mapped[Now]
    __table_args__ = (UniqueConstraint("project_id", "name", "version"),)


class Problem(Base):
    """One prompt with its reference answer or tests, known by the name its problem set gives it."""

    __tablename__ = "problems"
    id: Mapped[BigKey]
    problem_set_id: Mapped[int] = mapped_column(ForeignKey("problem_sets.id", ondelete="CASCADE"))
    name: Mapped[str]
    prompt: Mapped[str | None]
    answer: Mapped[str | None]
    tests: Mapped[Any | None] = mapped_column(JSONB)
    # `metadata` is SQLAlchemy's own word on a mapped class.
    fields: Mapped[EmptyObject] = mapped_column("metadata")
    __table_args__ = (UniqueConstraint("problem_set_id", "name"),)


class Evaluation(Base):
    """One checkpoint on one problem set with one sampling configuration: what a curve is drawn from."""

    __tablename__ = "evaluations"
    id: Mapped[BigKey]
    uuid: Mapped[PublicId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    problem_set_id: Mapped[int] = mapped_column(ForeignKey("problem_sets.id"), index=True)
    sampling: Mapped[dict[str, Any]]
    sampling_sha256: Mapped[bytes] = mapped_column(LargeBinary)  # of its canonical JSON: jsonb forgets 1 against 1.0
    model: Mapped[str | None]
    model_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)  # of the weights that a job loaded by that name
    n: Mapped[int | None] = mapped_column(Integer)  # completions per problem fixed beforehand; null = not declared
    iid: Mapped[bool] = mapped_column(server_default=sql("true"))
    counts_only: Mapped[bool] = mapped_column(server_default=sql("false"))
    created_at: Mapped[Now]
    # Another one after every change of the counts below, by triggers; never one that was there before.
    statistics_version: Mapped[UUID] = mapped_column(Uuid, server_default=sql("gen_random_uuid()"))
    __table_args__ = (
        UniqueConstraint("checkpoint_id", "problem_set_id", "sampling_sha256"),
        CheckConstraint("n >= 1", name="n"),
    )


class EvaluationProblem(Base):
    """How many completions a problem has in an evaluation. Writers lock these rows first, in key order."""

    __tablename__ = "evaluation_problems"
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    problem_id: Mapped[int] = mapped_column(ForeignKey("problems.id"), primary_key=True, index=True)
    completions: Mapped[int] = mapped_column(Integer, server_default=sql("0"))


class Completion(Base):
    """One sampled answer. Its row is never changed."""

    __tablename__ = "completions"
    evaluation_id: Mapped[int] = mapped_column(primary_key=True)
    problem_id: Mapped[int] = mapped_column(primary_key=True)
    sample_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str | None]
    text_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)  # kept when the text is not
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int | None] = mapped_column(Integer)
    completion_tokens: Mapped[int | None] = mapped_column(Integer)
    logprob: Mapped[float | None]  # the sum over the completion's tokens, in nats
    seed: Mapped[int | None]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    attempt: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[Now]
    __table_args__ = (
        ForeignKeyConstraint(
            ["evaluation_id", "problem_id"],
            ["evaluation_problems.evaluation_id", "evaluation_problems.problem_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("sample_index >= 0", name="sample_index"),
        Index(None, "job_id", postgresql_where=sql("job_id IS NOT NULL")),
    )


class Verifier(Base):
    """`name@version`: a function from a completion to its reward."""

    __tablename__ = "verifiers"
    id: Mapped[BigKey]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[str]  # with the first digits of the hash of the options, where there are any
    options: Mapped[EmptyObject]  # what jobs told it beside the defaults
    created_at: Mapped[Now]
    __table_args__ = (UniqueConstraint("project_id", "name", "version"),)


class _Verdict:
    """What a verifier says: `passed` alone sets reward 1 or 0, `reward` alone leaves passed null."""

    reward: Mapped[float | None]
    passed: Mapped[bool | None]
    status: Mapped[str]
    answer: Mapped[str | None]
    detail: Mapped[dict[str, Any] | None]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[CheckConstraint, ...]:
        return (
            one_of("status", VERIFICATION_STATUSES),
            # NaN is greater than Infinity in Postgres, so two comparisons keep all three out.
            CheckConstraint("reward > '-Infinity' AND reward < 'Infinity'", name="reward"),
            # An infrastructure error says nothing about the completion: missing, never a 0.
            CheckConstraint("(status = 'infrastructure_error') = (reward IS NULL)", name="missing"),
            CheckConstraint("passed IS NULL OR reward IS NOT NULL", name="passed"),
        )


class Verification(_Verdict, Base):
    """A verifier's result on a completion."""

    __tablename__ = "verifications"
    evaluation_id: Mapped[int] = mapped_column(primary_key=True)
    problem_id: Mapped[int] = mapped_column(primary_key=True)
    sample_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    verifier_id: Mapped[int] = mapped_column(ForeignKey("verifiers.id"), primary_key=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    attempt: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[Now]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        completion = ("evaluation_id", "problem_id", "sample_index")
        return (
            *_Verdict.__table_args__,
            ForeignKeyConstraint(completion, [f"completions.{column}" for column in completion], ondelete="CASCADE"),
            Index(None, "job_id", postgresql_where=sql("job_id IS NOT NULL")),
        )


class VerificationHistory(_Verdict, Base):
    """A verdict that was replaced, as it stood."""

    __tablename__ = "verification_history"
    id: Mapped[BigKey]
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"))
    problem_id: Mapped[int]
    sample_index: Mapped[int] = mapped_column(Integer)
    verifier_id: Mapped[int] = mapped_column(ForeignKey("verifiers.id"))
    replaced_at: Mapped[Now]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (
            *_Verdict.__table_args__,
            Index(None, "evaluation_id", "problem_id", "sample_index", "verifier_id"),
        )


class GroupStatistics(Base):
    """The counts of one problem under one verifier, derived from its verifications under the row lock."""

    __tablename__ = "group_statistics"
    evaluation_id: Mapped[int] = mapped_column(primary_key=True)
    problem_id: Mapped[int] = mapped_column(primary_key=True)
    verifier_id: Mapped[int] = mapped_column(ForeignKey("verifiers.id"), primary_key=True)
    n: Mapped[int] = mapped_column(Integer)  # completions with a known `passed`
    c: Mapped[int] = mapped_column(Integer)  # of them passed
    n_rewards: Mapped[int] = mapped_column(Integer)  # completions with a reward
    infrastructure_errors: Mapped[int] = mapped_column(Integer)  # verdicts that say nothing: missing
    rewards: Mapped[list[float]]  # those there are, ordered by sample_index
    version: Mapped[int]  # goes up by one with every change
    __table_args__ = (
        ForeignKeyConstraint(
            ["evaluation_id", "problem_id"],
            ["evaluation_problems.evaluation_id", "evaluation_problems.problem_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("0 <= c AND c <= n", name="c"),
        CheckConstraint("n_rewards = cardinality(rewards)", name="n_rewards"),
    )
