"""The tables. One word per thing, as everywhere; bigint keys inside, names and UUIDs outside."""

from app.models.access import ApiKey, AuditLog, IdempotencyKey, Project
from app.models.base import Base
from app.models.evaluations import (
    VERIFICATION_STATUSES,
    Completion,
    Evaluation,
    EvaluationProblem,
    GroupStatistics,
    Problem,
    ProblemSet,
    Verification,
    VerificationHistory,
    Verifier,
)
from app.models.jobs import JOB_KINDS, JOB_STATES, Job, JobEvent, Upload, Worker
from app.models.runs import Checkpoint, Metric, Model, Run, TrainingGroup

__all__ = [
    "JOB_KINDS",
    "JOB_STATES",
    "VERIFICATION_STATUSES",
    "ApiKey",
    "AuditLog",
    "Base",
    "Checkpoint",
    "Completion",
    "Evaluation",
    "EvaluationProblem",
    "GroupStatistics",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "Metric",
    "Model",
    "Problem",
    "ProblemSet",
    "Project",
    "Run",
    "TrainingGroup",
    "Upload",
    "Verification",
    "VerificationHistory",
    "Verifier",
    "Worker",
]
