"""Completions of a model, drawn by one of three engines; without tables and jobs."""

from app.jobs.options.engines import SamplingRefused, SamplingSettings
from app.jobs.options.models import ModelRefused, allowed_roots
from workers.sampling.engine import (
    Engine,
    Model,
    Request,
    Sample,
    SamplingFailed,
    by_problem,
    completion_seed,
)
from workers.sampling.models import resolved_model
from workers.sampling.registry import offered_engines, sampling_engine

__all__ = [
    "Engine",
    "Model",
    "ModelRefused",
    "Request",
    "Sample",
    "SamplingFailed",
    "SamplingRefused",
    "SamplingSettings",
    "allowed_roots",
    "by_problem",
    "completion_seed",
    "offered_engines",
    "resolved_model",
    "sampling_engine",
]
