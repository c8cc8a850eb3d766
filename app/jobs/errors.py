"""What can be wrong with a job, one class per cause."""

from collections.abc import Iterable
from uuid import UUID

from app.errors import AppError, InvalidRequest
from app.jobs.options.faults import Fault
from app.jobs.options.verifiers import NO_SUCH_VERIFIER


class KindNotOffered(AppError):
    """A kind of job that no worker of this version could do."""

    status, type = 422, "kind-not-offered"

    def __init__(self, kind: str, offered: Iterable[str]) -> None:
        super().__init__(
            f"No worker of this version does {kind} jobs; there are {' and '.join(offered)} jobs.",
            [("/kind", "not offered")],
        )


class UnknownJobVerifier(AppError):
    """A verifier that no worker of this version has."""

    status, type = 422, "verifier-not-offered"

    def __init__(self, pointer: str = "/spec/verifier") -> None:
        super().__init__(f"{NO_SUCH_VERIFIER[0].upper()}{NO_SUCH_VERIFIER[1:]}.", [(pointer, "not offered")])


class UnknownVerifierVersion(AppError):
    """A version of a verifier that no worker of this version has."""

    status, type = 422, "verifier-not-offered"

    def __init__(self, offered: str, pointer: str) -> None:
        super().__init__(
            f"Workers of this version have {offered} and no other version of it.", [(pointer, "no such version")]
        )


class ModelNotAllowed(AppError):
    """A model that no worker may load."""

    status, type = 422, "model-not-allowed"

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{sentence.removesuffix('.')}.", [("/spec/model", "not allowed")])


class JobOver(AppError):
    """A job that has come to an end that cannot be changed."""

    status, type = 409, "job-over"

    def __init__(self, state: str) -> None:
        super().__init__(f"This job has {state}: submit another one." if state == "succeeded" else f"It is {state}.")


class RunInTraining(AppError):
    """A run that is to be trained again, or deleted, while a job trains it."""

    status, type = 409, "run-in-training"

    def __init__(self, job: UUID, run: str) -> None:
        super().__init__(f"Job {job} trains {run}: wait for its end, or cancel it.")


class RunInUse(AppError):
    """A run that is to be deleted while a job needs one of its checkpoints."""

    status, type = 409, "run-in-use"

    def __init__(self, job: UUID, kind: str) -> None:
        super().__init__(
            f"The {kind} job {job} has a checkpoint of this run as its model: wait for its end, or cancel it."
        )


class RunMadeAnew(AppError):
    """A job to be queued again that has nothing to do with the run that has its run's name by now."""

    status, type = 409, "job-over"

    def __init__(self, run: str) -> None:
        super().__init__(
            f"The run {run} was made after this job had ended, and is another one: submit the training under another "
            "name, or delete that run."
        )


class FileUnstorable(AppError):
    """An upload for which the service's disk has no room, or no writable folder."""

    status, type = 503, "file-unstorable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The file could not be stored: {reason}. Nothing was kept; send it again.")


def unknown_upload() -> InvalidRequest:
    """An import of a file that nobody has uploaded, or that was removed."""
    detail = "No file of this id is kept, or not any more: POST /v1/uploads stores one and answers its id."
    return InvalidRequest(detail, [("/spec/upload", "no such upload")])


def unknown_evaluation() -> InvalidRequest:
    """A verification of an evaluation that there is not."""
    return InvalidRequest("This project has no evaluation of this id.", [("/spec/evaluation", "no such evaluation")])


def wrong_options(whose: str, pointer: str, found: Iterable[Fault]) -> InvalidRequest:
    """Options of an engine or a verifier that it does not take."""
    errors = [("/".join([pointer, *map(str, where)]), says) for where, says in found]
    return InvalidRequest(f"{whose} does not take these options; `errors` says which, and why.", errors)
