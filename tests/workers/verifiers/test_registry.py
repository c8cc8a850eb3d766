"""Verifiers by name, and options that are wrong."""

from typing import Any

import pytest

from workers.verifiers import KINDS, BadOptions, UnknownVerifier, check_options, verifier


def test_each_verifier_is_found_by_its_name_and_version() -> None:
    assert set(KINDS) == {
        *("exact-match", "numeric-match", "math-verify", "python-tests", "arc-grid", "reasoning-gym"),
        *("format", "length", "weighted"),
    }
    assert verifier("exact-match@1").full_name == "exact-match@1"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("exactmatch", "no verifier is called exactmatch; there are arc-grid"),
        ("exact-match@2", "exact-match has version 1 here, not 2"),
        ("", "no verifier is called"),
    ],
)
def test_an_unknown_verifier_is_named_with_those_there_are(name: str, says: str) -> None:
    with pytest.raises(UnknownVerifier, match=says):
        check_options(name, {})


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("exact-match", {"ignorecase": True}, "exact-match: ignorecase: Extra inputs"),
        ("exact-match", {"ignore_case": "yes"}, "ignore_case: Input should be a valid boolean"),
        ("exact-match", {"extract": []}, "extract: .*at least 1"),
        ("exact-match", {"extract": ["regex"]}, "extract.0: Input should be 'boxed'"),
        ("numeric-match", {"relative_tolerance": -1}, "relative_tolerance"),
        ("numeric-match", {"absolute_tolerance": float("inf")}, "absolute_tolerance"),
        ("python-tests", {"seconds": 0}, "seconds"),
        ("python-tests", {"memory_mib": 1}, "memory_mib"),
        ("python-tests", {"code": "guess"}, "code"),
        ("reasoning-gym", {"threshold": 1.5}, "threshold"),
        ("format", {}, "format needs marks"),
        ("format", {"marks": [""]}, "format needs marks"),
        ("length", {"free": 10, "most": 10}, "most = 10 is not above free = 10"),
        ("weighted", {"terms": []}, "terms"),
        ("weighted", {"terms": [{"verifier": "exact-match", "weight": float("nan")}]}, "terms.0.weight"),
        ("weighted", {"terms": [{"verifier": "exact-match", "options": {"x": 1}}]}, "exact-match: x: Extra inputs"),
    ],
)
def test_wrong_options_are_named_before_anything_starts(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOptions, match=says):
        check_options(name, options)


def test_a_sum_of_an_unknown_term_is_refused() -> None:
    with pytest.raises(UnknownVerifier, match="no verifier is called nonsense"):
        check_options("weighted", {"terms": [{"verifier": "nonsense"}]})
