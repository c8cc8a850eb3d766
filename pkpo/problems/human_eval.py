"""HumanEval: a function to complete, and tests of it.

Chen et al. (2021), arXiv:2107.03374; https://github.com/openai/human-eval.
"""

from collections.abc import Iterator

from pkpo.problems.problem import Problem, Record

NAME = "human-eval"
DESCRIPTION = "HumanEval: functions to complete, with tests"


def recognises(record: Record) -> bool:
    """Whether the record is one of HumanEval's."""
    return {"task_id", "prompt", "entry_point", "test"} <= record.fields.keys()


def problems(record: Record) -> Iterator[Problem]:
    """The problem; the answer is the canonical solution, which goes on where the prompt ends."""
    yield Problem(
        record.text("task_id"),
        record.text("prompt"),
        answer=record.value("canonical_solution"),
        tests={"test": record.text("test"), "entry_point": record.text("entry_point")},
        metadata={"form": "human-eval@1"},
    )
