"""Evaluations: made, filled with completions and verdicts, and read as curves."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from pkpo.client.answers import (
    Checkpoint,
    Comparison,
    Curve,
    Evaluation,
    Metric,
    Missing,
    MissingOfProblem,
    Sent,
    Verified,
)
from pkpo.client.batches import compressed, encoded, member
from pkpo.client.connection import writing
from pkpo.client.groups import run_name
from pkpo.client.service import GZIP, Query, Service

JSON_LINES = "application/x-ndjson"


class EvaluationCalls(Service):
    """/v1/evaluations, /v1/comparisons, and the curves of /v1/runs."""

    def evaluation(
        self,
        run: str,
        step: int,
        problem_set: str,
        sampling: Mapping[str, Any] | None = None,
        *,
        n: int | None = None,
        iid: bool | None = None,
        model: str | None = None,
    ) -> Evaluation:
        """The evaluation of this checkpoint on this problem set with this sampling, made where there is none.

        Declare n, the completions per problem, before the first completion: only then is a curve not called unbiased
        when all problems were given further completions after a look at it.
        iid=False says that completions are not independent of each other. What is left out is not compared.
        """
        wanted = {"n": n, "iid": iid, "model": model}
        body = {"run": run, "step": step, "problem_set": problem_set, "sampling": dict(sampling or {})}
        body |= {name: value for name, value in wanted.items() if value is not None}
        return Evaluation.of(self._post("/v1/evaluations", encoded(body, "the evaluation")))

    def log_completions(
        self,
        evaluation: Evaluation | UUID | str,
        completions: Iterable[Mapping[str, Any]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Sent:
        """Store completions, taken from the iterable as they are sent, in batches; returns how many were new.

        Each has problem and sample_index, and if wanted text, verifications and more, as in POST …/completions. Those
        that are there already, the same, count as replayed: what was interrupted is simply sent again. `progress` is
        called with the number of completions that a batch has stored. A row that no request holds is a ValueError that
        names it; what came before it may be stored then.
        """
        path = f"{_path(evaluation)}/completions"
        lines = (encoded(dict(row), _name("completion", i, row)) for i, row in enumerate(completions))
        total = Sent()
        for answer, rows in self._send_rows(
            lines, lambda batch: writing(path, compressed(b"\n".join(batch)), JSON_LINES, **GZIP)
        ):
            total += Sent(**answer)
            if progress is not None:
                progress(rows)
        return total

    def log_verifications(
        self, evaluation: Evaluation | UUID | str, verifications: Iterable[Mapping[str, Any]]
    ) -> Verified:
        """Store verdicts on completions that are stored, in batches; one of the same verifier is replaced, and kept.

        Each has problem, sample_index, verifier, and passed, reward or status.
        """
        path = f"{_path(evaluation)}/verifications"
        lines = (encoded(dict(row), _name("verification", i, row)) for i, row in enumerate(verifications))
        total = Verified()
        for answer, _ in self._send_rows(
            lines, lambda batch: writing(path, compressed(member("verifications", batch)), **GZIP)
        ):
            total += Verified(**answer)
        return total

    def missing(
        self, evaluation: Evaluation | UUID | str, *, n: int | None = None, verifier: str | None = None
    ) -> Iterator[MissingOfProblem]:
        """The sample indexes below n without a completion, or with `verifier` without its verdict, by problem."""
        query = {"n": n, "verifier": verifier}
        for each in self._pages(f"{_path(evaluation)}/missing", "missing", query):
            yield MissingOfProblem(each["problem"], tuple(each["sample_indexes"]))

    def curve(
        self,
        evaluation: Evaluation | UUID | str | None = None,
        *,
        run: str | None = None,
        step: int | None = None,
        problem_set: str | None = None,
        k: int | Sequence[int] | None = None,
        metric: Metric = "pass_at_k",
        verifier: str | None = None,
        missing: Missing = "error",
        fail_reward: float | None = None,
        level: float = 0.95,
    ) -> Curve:
        """pass@k, or another metric, averaged over the problems of an evaluation, with its interval.

        The evaluation is named by itself, or by run and step, with problem_set where that has several. By default the
        curve is at the powers of two up to the smallest n. A k beyond it is refused (k-exceeds-n), for there is no
        unbiased estimate; so is a curve while completions are missing, unless `missing` says what to do about them.
        """
        if evaluation is None:
            if run is None or step is None:
                raise ValueError("a curve needs an evaluation, or a run and a step")
            evaluation = self._only_evaluation(run, step, problem_set)
        query = _curve_query(k, metric, verifier, missing, fail_reward, level)
        return Curve.of(self._get(f"{_path(evaluation)}/curve", query))

    def curves(
        self,
        run: str,
        *,
        problem_set: str | None = None,
        k: int | Sequence[int] | None = None,
        metric: Metric = "pass_at_k",
        verifier: str | None = None,
        missing: Missing = "error",
        fail_reward: float | None = None,
        level: float = 0.95,
    ) -> Iterator[Checkpoint]:
        """The evaluations of a run by step, each with its curve, or in `refused` why it has none."""
        query = {**_curve_query(k, metric, verifier, missing, fail_reward, level), "problem_set": problem_set}
        for each in self._pages(f"/v1/runs/{run_name(run)}/curves", "checkpoints", query):
            yield Checkpoint.of(each)

    def comparison(
        self,
        a: Evaluation | UUID | str,
        b: Evaluation | UUID | str,
        *,
        k: int | Sequence[int] | None = None,
        metric: Metric = "pass_at_k",
        verifier: str | None = None,
        missing: Missing = "error",
        fail_reward: float | None = None,
        level: float = 0.95,
    ) -> Comparison:
        """What changed from evaluation a to evaluation b of the same problem set: b − a at each k, problem by problem.

        Both are evaluations or their ids, which `curves` lists by run and step. The options are those of a curve, for
        both; the problems are those that both allow.
        """
        query = _curve_query(k, metric, verifier, missing, fail_reward, level)
        return Comparison.of(self._get("/v1/comparisons", {**query, "a": _id(a), "b": _id(b)}))

    def _only_evaluation(self, run: str, step: int, problem_set: str | None) -> str:
        found = [each for each in self.curves(run, problem_set=problem_set, missing="drop") if each.step == step]
        if len(found) == 1:
            return found[0].evaluation
        on = f" on {problem_set}" if problem_set else ""
        listed = "".join(f"\n  {each.evaluation} on {each.problem_set}" for each in found)
        choice = "; name one by its id" if found else ": `curves` lists those that it has"
        raise ValueError(f"run {run!r} has {len(found)} evaluations at step {step}{on}{choice}{listed}")


def _curve_query(
    k: int | Sequence[int] | None,
    metric: Metric,
    verifier: str | None,
    missing: Missing,
    fail_reward: float | None,
    level: float,
) -> Query:
    options = {"metric": metric, "verifier": verifier, "missing": missing, "fail_reward": fail_reward, "level": level}
    return {"k": k, **options}


def _path(evaluation: Evaluation | UUID | str) -> str:
    """Where the evaluation is; ValueError for what is no id."""
    return f"/v1/evaluations/{_id(evaluation)}"


def _id(evaluation: Evaluation | UUID | str) -> str:
    """The id of an evaluation; ValueError for what is none."""
    identity = evaluation.id if isinstance(evaluation, Evaluation) else str(evaluation)
    try:
        return str(UUID(identity))
    except ValueError as error:
        raise ValueError(f"an evaluation's id is a UUID; got {identity!r}") from error


def _name(what: str, number: int, row: Mapping[str, Any]) -> str:
    """What to call a row in an error."""
    return f"{what} {number} (problem {row.get('problem')!a}, sample_index {row.get('sample_index')!a})"
