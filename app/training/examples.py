"""The examples of the API's document: a run trained for pass@4."""

from typing import Any, Final

Example = dict[str, Any]

NEW_GROUPS: Final[Example] = {
    "groups": [
        {
            "step": 120,
            "problem": "gsm8k-17",
            "rewards": [1, 0, None, 0],
            "credits": [1.0, 0.0, None, 0.0],
            "k": 2,
            "transform": "sloo_minus_one",
            "scale": "sum",
        },
        {
            "step": 120,
            "problem": "gsm8k-230",
            "rewards": [0.5, 0.25],
            "credits": [0.25, 0.0],
            "k": {"1": 0.5, "2": 0.5},
            "transform": "baseline",
        },
    ]
}
NEW_METRICS: Final[Example] = {
    "metrics": [
        {"step": 120, "name": "train/loss", "value": 0.0312},
        {"step": 120, "name": "train/kl", "value": "NaN"},
    ]
}
LOGGED: Final[Example] = {"accepted": 2, "replayed": 0, "segment": 0}
GROUPS: Final[Example] = {
    "groups": [
        {
            "segment": 0,
            "step": 120,
            "group_index": 0,
            "problem": "gsm8k-17",
            "rewards": [1.0, 0.0, None, 0.0],
            "credits": [1.0, 0.0, None, 0.0],
            "completions": None,
            "k": 2,
            "transform": "sloo_minus_one",
            "scale": "sum",
            "created_at": "2026-11-20T09:45:30.480367Z",
        }
    ],
    "next_cursor": "WzAsMTIwLDBd",
}
METRICS: Final[Example] = {
    "metrics": [
        {
            "segment": 0,
            "step": 120,
            "name": "train/kl",
            "value": "NaN",
            "created_at": "2026-11-20T09:45:30.480367Z",
        }
    ],
    "next_cursor": "WzAsInRyYWluL2tsIiwxMjBd",
}
