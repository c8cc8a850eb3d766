"""The name under which verdicts are stored holds what the verifier was told, and nothing that changes no verdict."""

from hashlib import sha256
from typing import Any

import pytest

from app.jobs.options.identity import is_default, is_storable, not_default, stored_name
from app.jobs.options.verifiers import VERIFIER_OPTIONS
from workers.verifiers import BadOptions, check_options, verifier

OWN = "tests.workers.verifiers.own_verifier:graded"
NEEDED: dict[str, dict[str, Any]] = {
    "format": {"marks": ["<think>"]},
    "length": {"free": 1, "most": 2},
    "weighted": {"terms": [{"verifier": "exact-match"}]},
}


def named(name: str, options: dict[str, Any]) -> str:
    """Where nothing but options decides: no sandbox and no process is started."""
    return stored_name(name, "1", not_default(check_options(name, options)))


@pytest.mark.parametrize("name", sorted(VERIFIER_OPTIONS.keys() - NEEDED.keys()))
def test_without_options_and_with_the_defaults_said_it_is_name_and_version(name: str) -> None:
    defaults = check_options(name, {}).model_dump(mode="json")
    assert defaults
    assert named(name, {}) == named(name, defaults) == f"{name}@1"
    assert is_default(name, {})
    assert is_default(f"{name}@1", defaults)


def test_options_end_the_name_with_the_start_of_their_hash() -> None:
    digits = sha256(b'{"reward":"fraction"}').hexdigest()[:8]
    assert named("python-tests", {"reward": "fraction"}) == f"python-tests@1-{digits}"
    assert named("python-tests", {"reward": "fraction", "code": "auto", "seconds": 10}) == f"python-tests@1-{digits}"
    assert named("python-tests", {"reward": "fraction", "seconds": 5}) not in (
        f"python-tests@1-{digits}",
        named("python-tests", {"seconds": 5}),
        "python-tests@1",
    )
    assert not is_default("python-tests", {"reward": "fraction"})


def test_one_value_spelled_two_ways_is_one_name() -> None:
    assert named("length", {"free": 1, "most": 2}) == named("length", {"most": 2, "free": 1})
    assert named("numeric-match", {"absolute_tolerance": 1}) == named("numeric-match", {"absolute_tolerance": 1.0})
    assert named("numeric-match", {"absolute_tolerance": -0.0}) == "numeric-match@1"
    assert named("exact-match", {"extract": ["boxed", "text"]}) != named("exact-match", {"extract": ["text", "boxed"]})


def test_how_many_are_judged_at_one_time_is_not_in_the_name() -> None:
    assert named("python-tests", {"slots": 16}) == "python-tests@1"
    assert named("math-verify", {"processes": 16}) == "math-verify@1"
    assert is_default("python-tests", {"slots": 16})


def test_a_sum_is_named_by_the_identity_of_its_terms() -> None:
    def summed(*terms: dict[str, Any]) -> str:
        with verifier("weighted", {"terms": terms}) as made:
            return made.full_name

    plain = summed({"verifier": "exact-match"})
    assert plain.startswith("weighted@1-")
    assert plain == summed({"verifier": "exact-match@1", "options": {"ignore_case": False}, "weight": 1})
    others = [
        summed({"verifier": "exact-match", "options": {"ignore_case": True}}),
        summed({"verifier": "exact-match", "weight": 2}),
        summed({"verifier": "numeric-match"}),
        summed({"verifier": "weighted", "options": {"terms": [{"verifier": "exact-match"}]}}),
    ]
    assert len({plain, *others}) == 5


def test_a_function_is_named_with_its_version_and_what_it_is_told() -> None:
    def own(**options: Any) -> str:
        with verifier(OWN, options) as made:
            return made.full_name

    assert own() == own(seconds=60, processes=1, options={}) == f"{OWN}@3"
    assert own(options={"most": 5}).startswith(f"{OWN}@3-")
    assert own(options={"most": 5}) != own(options={"most": 6})
    with verifier("weighted", {"terms": [{"verifier": OWN}]}) as summed:
        assert summed.told["terms"][0]["verifier"] == f"{OWN}@3"


HOSTILE = ["\ud800", "\0", "../../etc", "<script>", "@1-00000000", "名", "a" * 60_000, "'; DROP TABLE verifiers; --"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_told_the_name_is_short_and_of_its_letters(text: str) -> None:
    with verifier("format", {"marks": [text]}) as made:
        assert is_storable(made.full_name)
        assert len(made.full_name) == len("format@1-12345678")


def test_a_function_whose_name_cannot_be_stored_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.options.identity.LONGEST", len(OWN) + 5)
    with pytest.raises(BadOptions, match=r"verdicts would be stored as 'tests\.workers.*letters, digits"):
        verifier(OWN, {"seconds": 5})
    verifier(OWN).close()


def test_options_that_this_version_does_not_have_are_not_the_default() -> None:
    assert not is_default("exact-match", {"was_an_option": True})
