"""What can be known at submission to be wrong with a job."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import InvalidRequest, NotFound
from app.estimates.errors import ProblemSetNotFound
from app.estimates.runs import find_problem_set
from app.ingest.errors import CountsOnly
from app.ingest.evaluations import find_evaluation
from app.ingest.verdicts import versioned_name
from app.jobs.errors import ModelNotAllowed, UnknownVerifierVersion, unknown_evaluation, wrong_options
from app.jobs.judging import check_judged
from app.jobs.options.engines import ENGINE_OPTIONS
from app.jobs.options.faults import faults
from app.jobs.options.model_files import has_no_chat_template, positions
from app.jobs.options.models import ModelRefused, hub_name, is_local, local_folder, root_of
from app.jobs.options.verifiers import faults_of_verifier, other_version
from app.jobs.specs import ImportSpec, SamplingSpec, TrainingSpec, VerificationSpec
from app.jobs.specs.verification import capability_of
from app.jobs.training_checks import check_problems, check_runs
from app.jobs.uploads import find_upload
from app.models import Problem
from pkpo.readers import READERS

VERL_IS_EXPORTED: Final = (
    "Workers train with TRL. With verl a cluster of your own does: `pkpo train export-verl SPEC.json --out FOLDER` "
    "writes a folder that launches this spec there."
)


def check(session: Session, project_id: int, settings: Settings, spec: BaseModel) -> None:
    """Raise what an AppError says of a job that could only fail."""
    match spec:
        case ImportSpec():
            find_upload(session, project_id, spec.upload)
            names = [reader.NAME for reader in READERS]
            if spec.format is not None and spec.format not in names:
                raise InvalidRequest(f"There are the formats {', '.join(names)}.", [("/spec/format", "no such format")])
        case VerificationSpec():
            try:
                evaluation = find_evaluation(session, project_id, spec.evaluation)
            except NotFound:
                raise unknown_evaluation() from None
            if evaluation.counts_only:
                raise CountsOnly
            _check_verifier(spec.verifier, spec.options, "/spec/verifier", "/spec/options")
            check_judged(session, evaluation.problem_set_id, spec.verifier, spec.options, "/spec/verifier")
        case SamplingSpec():
            _check_once(spec.verifiers)
            for i, verifier in enumerate(spec.verifiers):
                pointer = f"/spec/verifiers/{i}"
                capability_of(verifier, {}, pointer)
                _check_verifier(verifier, {}, pointer, pointer)
            _check_engine(settings, spec)
            _check_problems(session, project_id, spec)
        case TrainingSpec():
            if spec.engine == "verl":
                raise InvalidRequest(VERL_IS_EXPORTED, [("/spec/engine", "not by the workers of this service")])
            _check_verifier(spec.verifier, spec.verifier_options, "/spec/verifier", "/spec/verifier_options")
            if isinstance(spec.model, str):
                folder, drawn = check_model(settings, spec.model), spec.generation
                _check_chat(folder, drawn.prompt, "/spec/generation/prompt")
                _check_room(folder, drawn.max_tokens, "/spec/generation/max_tokens")
            check_server(settings, spec.generation.base_url, "/spec/generation/base_url")
            check_problems(session, project_id, spec)
            check_runs(session, project_id, spec)


def _check_engine(settings: Settings, spec: SamplingSpec) -> None:
    given: dict[str, Any] = spec.engine_options
    if spec.engine == "openai":
        check_server(settings, given.get("base_url"))
        given = {"base_url": "http://of-the-worker"} | given  # where none is given the worker has one
    else:
        folder = check_model(settings, spec.model)
        _check_chat(folder, spec.prompt, "/spec/prompt")
        if spec.engine == "transformers":  # vLLM may hold more: it scales positions, or is told how many
            _check_room(folder, spec.sampling.max_tokens, "/spec/sampling/max_tokens")
    if found := faults(ENGINE_OPTIONS[spec.engine], given):
        raise wrong_options(f"The engine {spec.engine}", "/spec/engine_options", found)


def _check_verifier(verifier: str, options: Mapping[str, Any], pointer: str, of_options: str) -> None:
    """Raise an AppError for a version that there is not, and for options that it does not take, or needs and lacks."""
    if offered := other_version(verifier):
        raise UnknownVerifierVersion(offered, pointer)
    if found := list(faults_of_verifier(verifier, options)):
        raise wrong_options("This verifier", of_options, found)


def _check_once(verifiers: Sequence[str]) -> None:
    """Raise InvalidRequest where a verifier is named a second time; a bare name is version 1."""
    names = [versioned_name(each) for each in verifiers]
    if again := [i for i, name in enumerate(names) if name in names[:i]]:
        errors = [(f"/spec/verifiers/{i}", f"the same as {names.index(names[i])}") for i in again]
        raise InvalidRequest("A verifier is named twice, and judges once: leave out the second.", errors)


def check_server(settings: Settings, base_url: object, pointer: str = "/spec/engine_options/base_url") -> None:
    """Raise InvalidRequest for a server that the operator has not listed, where others than this machine may submit."""
    if base_url is None or settings.listens_on_loopback or base_url in settings.openai_servers:
        return
    raise InvalidRequest(
        "This service can be reached from other machines, so PKPO_OPENAI_SERVERS lists the servers that jobs may name.",
        [(pointer, "not allowed")],
    )


def check_model(settings: Settings, name: str) -> Path | None:
    """The model's folder, where this machine has it; ModelNotAllowed for a name or a folder that may not be loaded.

    What lies under a root that this machine does not have, the worker must tell.
    """
    try:
        if not is_local(name):
            hub_name(name)
        elif root_of(name, settings.roots_of_models)[1].is_dir():
            return local_folder(name, settings.roots_of_models)
    except ModelRefused as error:
        raise ModelNotAllowed(str(error).replace(repr(name), "The model").replace(name, "The model")) from None
    except OSError as error:
        raise ModelNotAllowed(f"The model's folder cannot be read: {error.strerror}.") from None
    return None


def _check_chat(folder: Path | None, prompt: str, pointer: str) -> None:
    if folder is not None and prompt == "chat" and has_no_chat_template(folder):
        raise InvalidRequest('The model has no chat template: take the prompt "raw".', [(pointer, "no chat template")])


def _check_room(folder: Path | None, max_tokens: int, pointer: str) -> None:
    room = None if folder is None else positions(folder)
    if room is not None and max_tokens >= room:
        raise InvalidRequest(
            f"The model can hold {room} tokens, the prompt's among them; max_tokens = {max_tokens} leaves no room for "
            "any prompt.",
            [(pointer, "more than the model can hold")],
        )


def _check_problems(session: Session, project_id: int, spec: SamplingSpec) -> None:
    """Raise InvalidRequest where nothing can be drawn for the set, or one of the verifiers can judge none of it."""
    try:
        set_id = find_problem_set(session, project_id, spec.problem_set)
    except ProblemSetNotFound:
        raise InvalidRequest(
            "This project has no problem set of this name and version; `pkpo problems import` brings one.",
            [("/spec/problem_set", "no such problem set")],
        ) from None
    chosen = select(Problem.prompt).filter_by(problem_set_id=set_id).order_by(Problem.id).limit(spec.limit).subquery()
    problems, prompts = session.execute(select(func.count(), func.count(chosen.c.prompt)).select_from(chosen)).one()
    if prompts == problems > 0:
        for i, verifier in enumerate(spec.verifiers):
            check_judged(session, set_id, verifier, {}, f"/spec/verifiers/{i}")
        return
    lacking = f"{problems - prompts} of its problems have no prompt" if problems else "it has no problems"
    raise InvalidRequest(
        f"Nothing can be drawn for this problem set: {lacking}. `pkpo problems import` adds what is missing.",
        [("/spec/problem_set", "without prompts" if problems else "no problems")],
    )
