"""The examples of the API's document: CRUXEval-O."""

from typing import Any, Final

Example = dict[str, Any]

PROBLEM_SET: Final[Example] = {
    "problem_set": "cruxeval-output@1",
    "closed": False,
    "problems": 800,
    "created_at": "2026-11-20T09:45:30.480367Z",
}
PROBLEM_SETS: Final[Example] = {"problem_sets": [PROBLEM_SET], "next_cursor": "WyJjcnV4ZXZhbC1vdXRwdXQiLCIxIl0"}
NEW_PROBLEMS: Final[Example] = {
    "problems": [
        {
            "problem": "sample_0",
            "prompt": "def f(nums): … assert f([1, 1, 3, 1, 3, 1]) ==",
            "answer": "[(4, 1), (2, 3)]",
            "metadata": {"source": "cruxeval"},
        },
        {
            "problem": "sample_1",
            "prompt": "def f(a, b, c): … assert f((1, ), (1, ), (1, 2)) ==",
            "tests": ["{1: None}"],
        },
    ]
}
RECORDED: Final[Example] = {"accepted": 2, "replayed": 0}
PROBLEMS: Final[Example] = {
    "problems": [
        {
            "problem": "sample_0",
            "prompt": "def f(nums): … assert f([1, 1, 3, 1, 3, 1]) ==",
            "answer": "[(4, 1), (2, 3)]",
            "tests": [],
            "metadata": {"source": "cruxeval"},
        }
    ],
    "next_cursor": "WyJzYW1wbGVfMCJd",
}
