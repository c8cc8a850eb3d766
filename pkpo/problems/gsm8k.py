"""GSM8K: word problems whose solution ends in #### and a number.

Cobbe et al. (2021), arXiv:2110.14168; https://github.com/openai/grade-school-math.
"""

from collections.abc import Iterator

from pkpo.problems.naming import digest_name
from pkpo.problems.problem import Problem, Record

NAME = "gsm8k"
DESCRIPTION = "GSM8K: word problems, with a number as the answer"
MARK = "####"


def recognises(record: Record) -> bool:
    """Whether the record is one of GSM8K's."""
    return "question" in record.fields and MARK in str(record.fields.get("answer"))


def problems(record: Record) -> Iterator[Problem]:
    """The problem; the answer is the number after ####, without commas between thousands."""
    question, solution = record.text("question"), record.text("answer")
    _, mark, last = solution.rpartition(MARK)
    number = last.strip().replace(",", "")
    if not mark or not number:
        raise record.error(f'the field "answer" does not end in {MARK} and a number')
    metadata = {"form": "gsm8k@1", "solution": solution}
    yield Problem(digest_name(NAME, question), question, answer=number, metadata=metadata)
