"""Verification jobs: the completions of an evaluation that a verifier has not judged are judged."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from app.ingest.service import record_absent_verdicts
from app.ingest.unjudged import START, Unjudged, count_unjudged, unjudged
from app.ingest.verdicts import NewVerification, Verdict
from app.ingest.verifiers import record_options
from app.jobs.specs import VerificationSpec
from workers.child.evaluations import evaluation_of
from workers.child.verifier import at_hand
from workers.child.work import JobFailed, Work
from workers.verifiers import Problem, Verification, Verifier

PAGE: Final = 200  # completions judged between two transactions, and so before a lost attempt is noticed
MOST_REASONS: Final = 5  # in the log: a verifier may give each completion one of its own
LONGEST_REASON: Final = 500  # characters


def run(work: Work) -> None:
    """Judge what the spec of the job names."""
    spec = VerificationSpec.model_validate(work.spec)
    with at_hand(spec.verifier, spec.options) as judge, ThreadPoolExecutor(os.cpu_count()) as threads:
        work.say(f"{judge.full_name} judges evaluation {spec.evaluation}")
        with work.fenced() as session:
            evaluation = evaluation_of(session, work, spec.evaluation)
            record_options(session, work.project_id, judge.full_name, judge.told)
            work.progress.total = count_unjudged(session, evaluation, judge.full_name)
        if work.progress.total == 0:
            work.say(f"nothing is left to judge: {judge.full_name} has judged all, and its verdicts stay")
        statuses: Counter[str] = Counter()
        unsaid: Counter[str] = Counter()
        without_text, after = 0, START
        while page := _page(work, spec, judge, after):
            with_text = [each for each in page if each.text is not None]
            # In threads: what takes long is done by processes that the verifier keeps.
            found = [*threads.map(partial(_judged, judge), with_text)]
            _record(work, spec, len(page), list(map(partial(_verdict, judge), with_text, found)))
            without_text += len(page) - len(with_text)
            statuses.update(each.status for each in found)
            unsaid.update(each.unsaid for each in found if each.unsaid is not None)
            after = page[-1].key
    if statuses:
        work.say(", ".join(f"{count} {status}" for status, count in statuses.most_common()))
    for reason, times in unsaid.most_common(MOST_REASONS):
        work.say(f"{judge.full_name} has no verdict on {times}: {reason[:LONGEST_REASON]}")
    if without_text:
        work.say(f"{without_text} completions have no text that could be judged")
    if without_text == work.progress.total and without_text > 0:
        raise JobFailed("None of the completions has a text: there is nothing that could be judged.")


def _page(work: Work, spec: VerificationSpec, judge: Verifier, after: tuple[int, int]) -> Sequence[Unjudged]:
    with work.fenced() as session:
        evaluation = evaluation_of(session, work, spec.evaluation)
        return unjudged(session, evaluation, judge.full_name, after, PAGE)


def _judged(judge: Verifier, completion: Unjudged) -> Verification:
    assert completion.text is not None
    problem = Problem(completion.prompt, completion.answer, completion.tests, completion.metadata)
    return judge.verify(completion.text, problem)


def _verdict(judge: Verifier, completion: Unjudged, found: Verification) -> NewVerification:
    verdict = Verdict.of(judge.full_name, found.reward, found.passed, found.status, found.answer, found.detail or None)
    return NewVerification(completion.problem, completion.sample_index, verdict)


def _record(work: Work, spec: VerificationSpec, done: int, verdicts: Sequence[NewVerification]) -> None:
    author = (work.attempt.job_id, work.attempt.number)
    with work.fenced(done=done) as session:
        evaluation = evaluation_of(session, work, spec.evaluation, for_writing=True)
        record_absent_verdicts(session, evaluation, verdicts, author)
