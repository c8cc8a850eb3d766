"""A job whose verifier is not to be had on this machine ends with a sentence, before its first step."""

from pathlib import Path

import pytest

from workers.child.verifier import at_hand
from workers.child.work import JobFailed


def test_a_sandbox_that_is_not_there_ends_the_job_and_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobFailed, match=r"apt-get install bubblewrap.*\.$"), at_hand("python-tests", {}):
        pytest.fail("nothing weaker than the sandbox is used")


def test_a_function_that_nobody_marked_as_a_verifier_ends_the_job() -> None:
    with pytest.raises(JobFailed, match=r"math:sqrt"), at_hand("math:sqrt", {}):
        pytest.fail("no function of any module can be named")
