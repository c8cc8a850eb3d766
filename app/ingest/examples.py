"""The examples of the API's document: CodeLlama 7B on CRUXEval-O at temperature 0.2."""

import json
from typing import Any, Final

Example = dict[str, Any]

NEW_EVALUATION: Final[Example] = {
    "run": "codellama-7b",
    "step": 0,
    "problem_set": "cruxeval-output",
    "sampling": {"temperature": 0.2, "top_p": 0.95, "max_tokens": 1024},
    "model": "codellama/CodeLlama-7b-hf",
    "n": 10,
}
EVALUATION: Final[Example] = {
    "id": "0c0a7b1e-5a7e-4f0c-9d0e-6a1f2f3c4d5e",
    **NEW_EVALUATION,
    "problem_set": "cruxeval-output@1",
    "iid": True,
    "counts_only": False,
    "created_at": "2026-11-20T09:45:30.480367Z",
}
SUMMARY: Final[Example] = {
    **EVALUATION,
    "problems": 800,
    "completions": 8000,
    "verifiers": [
        {"verifier": "exact-match@1", "options": {}, "n": 8000, "c": 2737, "rewards": 8000, "infrastructure_errors": 0},
    ],
}
NEW_COMPLETIONS: Final[Example] = {
    "completions": [
        {
            "problem": "sample_0",
            "sample_index": 0,
            "text": "[(4, 1), (2, 3)]",
            "finish_reason": "stop",
            "verifications": [{"verifier": "exact-match", "passed": True}],
        },
        {
            "problem": "sample_0",
            "sample_index": 1,
            "text": "[(4, 1)]",
            "verifications": [{"verifier": "exact-match", "passed": False, "answer": "[(4, 1)]"}],
        },
    ]
}
COMPLETION_LINES: Final[Example] = {
    "schema": {
        "type": "string",
        "description": "A completion on each line, as in the list of the JSON; at most 10,000",
    },
    "example": "".join(json.dumps(each) + "\n" for each in NEW_COMPLETIONS["completions"]),
}
COMPLETION_PARQUET: Final[Example] = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "A completion a row, at most 10,000, in columns of the members' names. `verifications` is a "
        "column of lists of structs; in its place, columns `verifier`, `passed`, `reward`, `status`, `answer` and "
        "`detail` hold one verdict a row. `detail` is JSON text. Null is left out",
    }
}
COMPLETIONS_RECORDED: Final[Example] = {"accepted": 2, "replayed": 0}
COMPLETIONS: Final[Example] = {
    "completions": [
        {
            "problem": "sample_0",
            "sample_index": 0,
            "text": "[(4, 1), (2, 3)]",
            "finish_reason": "stop",
            "prompt_tokens": 311,
            "completion_tokens": 17,
            "logprob": -2.25,
            "seed": 42,
            "created_at": "2026-11-20T09:45:31.007112Z",
            "verifications": [
                {
                    "verifier": "exact-match@1",
                    "reward": 1.0,
                    "passed": True,
                    "status": "passed",
                    "answer": "[(4, 1), (2, 3)]",
                    "detail": {"seconds": 0.004},
                }
            ],
        }
    ],
    "next_cursor": "WzEsMF0",
}
NEW_VERIFICATIONS: Final[Example] = {
    "verifications": [
        {"problem": "sample_0", "sample_index": 0, "verifier": "exact-match@2", "passed": True},
        {"problem": "sample_0", "sample_index": 1, "verifier": "exact-match@2", "status": "timeout"},
    ]
}
NEW_COUNTS: Final[Example] = {
    "counts": [
        {"problem": "sample_0", "n": 10, "c": 7, "verifier": "exact-match"},
        {"problem": "sample_1", "n": 10, "c": 0, "verifier": "exact-match"},
    ]
}
COUNTS_RECORDED: Final[Example] = {"accepted": 2, "replayed": 0}
VERIFICATIONS_RECORDED: Final[Example] = {"added": 2, "replaced": 0, "unchanged": 0}


def answered(example: Example) -> Example:
    """What a route says of an answer: an example of it."""
    return {"content": {"application/json": {"example": example}}}
