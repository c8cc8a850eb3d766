"""The examples of the API's document. Those of a curve are CodeLlama 7B on CRUXEval-O at temperature 0.2."""

from typing import Any, Final

from pydantic import BaseModel

Example = dict[str, Any]
EVALUATION: Final = "0c0a7b1e-5a7e-4f0c-9d0e-6a1f2f3c4d5e"

POINTS: Final[list[Example]] = [
    {
        "k": 1,
        "value": 0.342125,
        "standard_error": 0.015780209099304488,
        "low": 0.3111494364148957,
        "high": 0.37310056358510435,
    },
    {
        "k": 5,
        "value": 0.40286706349206347,
        "standard_error": 0.016996805687011188,
        "low": 0.36950339688989636,
        "high": 0.4362307300942306,
    },
]
OF_CURVE: Final[Example] = {
    "problems_used": 800,
    "problems_total": 800,
    "n_min": 10,
    "n_max": 10,
    "unbiased": True,
    "verifier": "exact-match@1",
}
CURVE: Final[Example] = {
    "metric": "pass_at_k",
    "estimator": "1 - C(n-c, k) / C(n, k)",
    "points": POINTS,
    "interval": {"method": "t", "level": 0.95},
    "missing": "error",
    **OF_CURVE,
}
# Of five problems with n = 4, of whose completions 0, 0, 2, 4 and 1 passed in a, and 0, 3, 3, 2 and 0 in b.
COMPARISON: Final[Example] = {
    "metric": "pass_at_k",
    "points": [
        {"k": 1, "difference": 0.05, "low": -0.5470970970249949, "high": 0.647097097024995, "p_value": 1.0},
        {"k": 3, "difference": 0.05, "low": -0.7229296056037061, "high": 0.8229296056037062, "p_value": 1.0},
    ],
    "interval": {"method": "t", "level": 0.95},
    "test": {"method": "sign flips, all", "seed": None},
    "newly_solved": ["p1"],
    "forgotten": ["p4"],
    "problems_used": 5,
    "problems_total": 5,
    "missing": "error",
    "unbiased": True,
    "verifier": "exact-match@1",
}
MISSING: Final[Example] = {
    "n": 10,
    "total": 3,
    "missing": [
        {"problem": "sample_17", "sample_indexes": [9]},
        {"problem": "sample_230", "sample_indexes": [3, 7]},
    ],
    "next_cursor": "WzIzMV0",
}
PROBLEMS: Final[Example] = {
    "verifier": "exact-match@1",
    "matching": 800,
    "problems": [
        {"problem": "sample_0", "completions": 10, "n": 10, "c": 0, "mean_reward": 0.0, "missing": 0},
        {"problem": "sample_1", "completions": 10, "n": 10, "c": 10, "mean_reward": 1.0, "missing": 0},
    ],
    "next_cursor": "WyJzYW1wbGVfMSIsMl0",
}
RUN: Final[Example] = {
    "run": "codellama-7b",
    "created_at": "2025-11-20T10:00:00Z",
    "archived_at": None,
    "tags": ["baseline"],
    "notes": "",
    "latest_step": 0,
    "checkpoints": 1,
    "evaluations": 2,
}
RUNS: Final[Example] = {"runs": [RUN], "next_cursor": "WzFd"}
RUN_CURVES: Final[Example] = {
    "metric": "pass_at_k",
    "checkpoints": [
        {
            "step": 0,
            "evaluation": EVALUATION,
            "problem_set": "cruxeval-output@1",
            "points": POINTS,
            **OF_CURVE,
            "refused": None,
        }
    ],
    "next_cursor": "WzAsMV0",
}
COUNTS: Final[Example] = {"n": [10, 10, 10], "c": [0, 3, 10], "k": [1, 8]}
REWARDS: Final[Example] = {"rewards": [[0.25, 1.0, 0.0], [0.5, 0.5, 0.75]], "k": [2]}
# Of COUNTS.
ESTIMATES: Final[Example] = {
    "metric": "pass_at_k",
    "estimator": "1 - C(n-c, k) / C(n, k)",
    "points": [
        {
            "k": 1,
            "value": 0.43333333333333335,
            "standard_error": 0.29627314724385295,
            "low": 0.0,
            "high": 1.0,
            "per_problem": [0.0, 0.3, 1.0],
        },
        {
            "k": 8,
            "value": 0.6666666666666666,
            "standard_error": 0.33333333333333337,
            "low": 0.0,
            "high": 1.0,
            "per_problem": [0.0, 1.0, 1.0],
        },
    ],
    "interval": {"method": "t", "level": 0.95},
    "problems_used": 3,
    "n_min": 10,
    "n_max": 10,
}


def answers(example: Example, model: type[BaseModel] | None = None) -> dict[int | str, Example]:
    """What a route says of its answer: an example of it, and its type where the route's own does not say."""
    content = {"application/json": {"example": example}}
    return {200: {"content": content} | ({"model": model} if model else {})}
