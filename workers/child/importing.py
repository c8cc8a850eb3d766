"""Import jobs: an uploaded results file becomes an evaluation. What is stored already stays, and is counted."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter

from app.imports.command import PROBLEM_SETS
from app.imports.numbering import Numbering
from app.imports.sender import completions_of
from app.imports.shipments import CountsOfFiles
from app.ingest.columns import CompletionColumns
from app.ingest.counts import record_counts
from app.ingest.evaluations import create_evaluation, find_evaluation
from app.ingest.schemas import NewCompletion, NewCount, NewEvaluation
from app.ingest.service import Kept, record_absent_completions
from app.jobs.specs import ImportSpec
from app.jobs.uploads import find_upload
from app.models import Upload
from pkpo.commands.errors import CommandError
from pkpo.readers import ResultsFile, counts, open_results
from workers.child.work import JobFailed, Work

MOST_ROWS: Final = 1000  # in a transaction, and so before a lost attempt is noticed
MOST_CHARACTERS: Final = 2**22
COMPLETIONS: Final = TypeAdapter(list[NewCompletion])
COUNTS: Final = TypeAdapter(list[NewCount])


def run(work: Work) -> None:
    """Import the file of the job's spec."""
    spec = ImportSpec.model_validate(work.spec)
    with work.fenced() as session:
        upload = find_upload(session, work.project_id, spec.upload)
    path = work.settings.data_dir / upload.path
    try:
        _run(work, spec, _file(work, spec, upload, path))
    except OSError as error:
        raise JobFailed(f"The file cannot be read: {error.strerror}.") from error
    except (CommandError, ValueError) as error:
        raise JobFailed(str(error).replace(str(path), upload.filename)) from error


def _file(work: Work, spec: ImportSpec, upload: Upload, path: Path) -> ResultsFile:
    if not path.exists():
        raise JobFailed(
            f"The file {upload.filename} is not in the data folder of this worker: it must share the PKPO_DATA_DIR of "
            "the service that took the upload."
        )
    file = open_results(path, spec.format)
    work.say(f"{upload.filename}: {file.description}")
    return file


def _run(work: Work, spec: ImportSpec, file: ResultsFile) -> None:
    problem_set = spec.problem_set or PROBLEM_SETS.get(file.format)
    if problem_set is None:
        raise JobFailed('The file does not say which problems these are: name them in the spec, as "problem_set".')
    wanted = {"run": spec.run, "step": spec.step, "problem_set": problem_set, "sampling": spec.sampling}
    claimed = {name: value for name, value in (("model", spec.model), ("n", spec.n)) if value is not None}
    verifier = spec.verifier or file.format
    if file.reader is counts:
        shipment = CountsOfFiles.of([file])
        rows = [{"problem": name, "n": each.judged, "c": each.passed} for name, each in shipment.problems.items()]
        evaluation_id = _evaluation(work, NewEvaluation.model_validate(wanted | claimed))
        _record_counts(work, evaluation_id, [row | {"verifier": verifier} for row in rows])
        return
    numbering = Numbering.of([file])
    _refuse_more_than_declared(numbering, spec.n)
    work.progress.total = numbering.total
    evaluation_id = _evaluation(work, NewEvaluation.model_validate(wanted | claimed))
    _record_completions(work, evaluation_id, completions_of([file], numbering.shifts, verifier))


def _refuse_more_than_declared(numbering: Numbering, n: int | None) -> None:
    most = max(numbering.counts.values())
    if n is not None and most > n:
        raise JobFailed(f"n = {n} says that every problem got {n} completions, and one has {most}.")


def _evaluation(work: Work, wanted: NewEvaluation) -> UUID:
    with work.fenced() as session:
        evaluation_id, _ = create_evaluation(session, work.project_id, wanted)
    work.say(f"evaluation {evaluation_id}")
    return evaluation_id


def _record_completions(work: Work, evaluation_id: UUID, rows: Iterator[dict[str, object]]) -> None:
    author = (work.attempt.job_id, work.attempt.number)
    total = Kept(0, 0, 0)
    for batch in _batches(rows):
        columns = CompletionColumns.of(COMPLETIONS.validate_python(batch))
        with work.fenced(done=len(batch)) as session:
            evaluation = find_evaluation(session, work.project_id, evaluation_id, for_writing=True)
            kept = record_absent_completions(session, evaluation, columns, author)
        total = Kept(*map(sum, zip(total, kept, strict=True)))
    work.say(
        f"{total.accepted} completions new, {total.replayed} there already, {total.differing} there with another "
        "content and left as they were"
    )


def _record_counts(work: Work, evaluation_id: UUID, rows: list[dict[str, Any]]) -> None:
    work.progress.total = len(rows)
    given = iter(COUNTS.validate_python(rows))
    while batch := [*islice(given, MOST_ROWS)]:
        with work.fenced(done=len(batch)) as session:
            record_counts(session, work.project_id, evaluation_id, batch)
    work.say(f"counts of {len(rows)} problems")


def _batches(rows: Iterable[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(str(row.get("text", "")))
        if len(batch) == MOST_ROWS or characters > MOST_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
