"""MBPP, in full (`mbpp.jsonl`) and sanitized (`sanitized-mbpp.json`): a function to write, and asserts on it.

Austin et al. (2021), arXiv:2108.07732; https://github.com/google-research/google-research/tree/master/mbpp.
"""

from collections.abc import Iterator

from pkpo.problems.problem import Problem, Record
from pkpo.readers.rows import shown

NAME = "mbpp"
DESCRIPTION = "MBPP: functions to write, with asserts"
# The paper's, section 3: without the asserts nobody knows what the function is to be called.
PROMPT = """\
You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:

{tests}
"""


def recognises(record: Record) -> bool:
    """Whether the record is one of MBPP's."""
    return {"task_id", "code", "test_list"} <= record.fields.keys()


def problems(record: Record) -> Iterator[Problem]:
    """The problem, called Mbpp/11 as in EvalPlus's results; the answer is the reference code."""
    number = record.value("task_id")
    if type(number) is not int:
        raise record.error(f'the field "task_id" must be a whole number, and is {shown(number)}')
    asserts = record.texts("test_list")
    if not asserts:
        raise record.error('the field "test_list" is empty, and nothing else tests a completion')
    text = record.text("text" if "text" in record.fields else "prompt")
    setup = [*record.texts("test_imports"), record.value("test_setup_code") or ""]
    tests = {"test_list": asserts, "test_setup_code": "\n".join(filter(None, setup))}
    if challenge := record.texts("challenge_test_list"):
        tests["challenge_test_list"] = challenge
    yield Problem(
        f"Mbpp/{number}",
        PROMPT.format(text=text, tests="\n".join(asserts)),
        answer=record.text("code"),
        tests=tests,
        metadata={"form": "mbpp@1", "text": text},
    )
