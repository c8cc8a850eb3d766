"""A client of the service: `Client`, what its calls return, and the errors that they raise. Extra `client` (httpx).

What a training loop logs goes through a thread and a spool folder: a server that is away never delays or stops a step.
"""

try:
    import httpx as _httpx  # noqa: F401  asked for here, so that its absence is said in one place
except ModuleNotFoundError as error:
    absent = "pkpo.client needs httpx: install pkpo with its extra `client`"
    raise ModuleNotFoundError(absent, name=error.name) from error

from pkpo.client.answers import (
    Checkpoint,
    Comparison,
    Curve,
    Difference,
    Evaluation,
    MissingOfProblem,
    Point,
    Sent,
    Transformed,
    Verified,
)
from pkpo.client.client import Client
from pkpo.client.errors import ClientError, NoAnswer, ServiceError
from pkpo.client.log import LogStatus

__all__ = [
    "Checkpoint",
    "Client",
    "ClientError",
    "Comparison",
    "Curve",
    "Difference",
    "Evaluation",
    "LogStatus",
    "MissingOfProblem",
    "NoAnswer",
    "Point",
    "Sent",
    "ServiceError",
    "Transformed",
    "Verified",
]
