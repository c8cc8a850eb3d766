"""A verifier of the user's own, in a process of its own."""

import pytest

from workers.verifiers import Problem, ScorerRefused, UnknownVerifier, verifier

NAME = "tests.workers.verifiers.own_verifier:graded"


def test_a_function_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKPO_DATABASE_URL", "postgresql://secret")
    with verifier(NAME, {"options": {"strict": True}, "seconds": 30}) as own:
        assert own.full_name.startswith(f"{NAME}@3-")
        problem = Problem(answer="42")
        assert own.verify("42", problem).passed is True
        assert own.verify("41", problem).passed is False
        scored = own.verify("number", problem)
        assert (scored.reward, scored.passed, scored.status) == (0.25, None, "scored")
        full = own.verify("dict", problem)
        assert (full.reward, full.passed, full.answer) == (0.5, True, "a")
        assert full.detail == {"seen": "42", "strict": True}
        assert own.verify("environment", problem).passed is True
        for completion in ("raise", "nothing", "not a number"):
            found = own.verify(completion, problem)
            assert (found.status, found.reward) == ("infrastructure_error", None), completion
        assert own.verify("die", problem).status == "crash"
        assert own.verify("42", problem).passed is True


def test_a_function_that_hangs_is_ended_and_the_next_completion_verified() -> None:
    with verifier(NAME, {"options": {"strict": True}, "seconds": 5}) as own:
        assert own.verify("hang", Problem(answer="42")).status == "timeout"
        assert own.verify("42", Problem(answer="42")).passed is True


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os:system", "no function with an attribute pkpo_verifier"),
        ("tests.workers.verifiers.own_verifier:unmarked", "no function with an attribute pkpo_verifier"),
        ("tests.workers.verifiers.own_verifier:missing", "has no attribute 'missing'"),
        ("no_such_module:graded", "No module named 'no_such_module'"),
        (":", "Empty module name"),
    ],
)
def test_what_is_no_marked_function_is_refused(name: str, says: str) -> None:
    with pytest.raises(ScorerRefused, match=says):
        verifier(name)


def test_another_version_of_a_function_is_refused() -> None:
    with pytest.raises(UnknownVerifier, match="has version 3, not 4"):
        verifier(f"{NAME}@4")
