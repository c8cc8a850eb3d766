import csv
import io
import json
import runpy

import pytest

from pkpo.baselines import BASELINES
from pkpo.cli import main
from pkpo.commands import bias
from pkpo.transforms import TRANSFORMS
from tests.documents import ROOT
from tests.pkpo.commands import complaint


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["bias", *arguments]) == 0
    return capsys.readouterr().out


def factors(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed(capsys, *arguments, "--json").splitlines()]


def test_the_default_table_has_every_method_and_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    found = factors(capsys)
    assert {each["method"] for each in found} == {*TRANSFORMS, *BASELINES}
    for each in found:
        name = str(each["method"])
        unbiased = name in TRANSFORMS or BASELINES[name].unbiased_for is not None
        if each["factor"] is None:
            assert "needs" in str(each["why"])
        elif unbiased:
            assert each["factor"] == pytest.approx(1, abs=1e-7), each
    biased = {each["method"] for each in found if each["factor"] and abs(float(str(each["factor"])) - 1) > 1e-3}
    assert biased == {name for name, known in BASELINES.items() if known.biased}


def test_a_method_without_a_k_has_one_row_with_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    found = factors(capsys, "--methods", "rloo,tang,maxrl", "--n", "4,6", "--k", "2,3", "--p", "0.3")
    assert [(each["method"], each["n"], each["k"]) for each in found] == [
        ("rloo", 4, 1),
        ("rloo", 6, 1),
        ("tang", 4, 4),
        ("tang", 6, 6),
        ("maxrl", 4, None),
        ("maxrl", 6, None),
    ]
    assert found[4]["factor"] == pytest.approx((1 - 0.7**3) / (1 - 0.7**4))


def test_the_table_aligns_and_the_others_are_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--methods", "grpo,mean_centered_s", "--n", "8", "--k", "4,8,9", "--p", "0.1,0.5")
    assert printed(capsys, *arguments) == (
        "method           claims  n  k  p=0.1  p=0.5\n"
        "grpo             pass@1  8  1  2.177  1.736\n"
        "mean_centered_s  pass@k  8  4    0.5    0.5\n"
        "mean_centered_s  pass@k  8  8      0      0\n"
        "mean_centered_s  pass@k  8  9      –      –\n"
    )
    assert printed(capsys, *arguments, "--markdown").splitlines()[:3] == [
        "| method | claims | n | k | p=0.1 | p=0.5 |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| `grpo` | pass@1 | 8 | 1 | 2.177 | 1.736 |",
    ]
    rows = list(csv.DictReader(io.StringIO(printed(capsys, *arguments, "--csv"))))
    assert [(row["method"], row["p"], row["factor"][:5]) for row in rows[:2]] == [
        ("grpo", "0.1", "2.177"),
        ("grpo", "0.5", "1.735"),
    ]
    assert rows[-1]["factor"] == ""
    assert "needs at least 9 rewards per group; got n=8" in rows[-1]["why"]


def test_mixed_is_asked_for_by_its_lam(capsys: pytest.CaptureFixture[str]) -> None:
    found = factors(capsys, "--methods", "mixed(0.25)", "--n", "8", "--k", "2,8", "--p", "0.3")
    assert [row["factor"] for row in found] == [pytest.approx(1, rel=1e-12), None]
    assert "mixed at k=8 needs at least 9 rewards per group" in str(found[1]["why"])


def test_a_gradient_that_float64_cannot_resolve_has_no_factor(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = factors(capsys, "--methods", "s", "--n", "64", "--k", "64", "--p", "0.9")
    assert found["factor"] is None
    assert found["why"] == "the gradient, 6.4e-62, is below 1e-09"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--n", "0", "'0' is not a whole number from 1 up"),
        ("--k", "2,x", "'2,x' is not a whole number from 1 up"),
        ("--p", "1", "'1' is not between 0 and 1"),
        ("--p", "nan", "'nan' is not between 0 and 1"),
        ("--p", "half", "'half' is not between 0 and 1"),
        ("--methods", "ppo", "method must be one of s, sloo, "),
        ("--methods", "mixed(x)", "or mixed(lam) as mixed(0.25); got 'mixed(x)'"),
    ],
)
def test_a_mistake_is_named(capsys: pytest.CaptureFixture[str], option: str, value: str, sentence: str) -> None:
    assert sentence in complaint(capsys, "bias", option, value, status=2)


def test_the_examples_of_the_help_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split("|")[0].split() for line in bias.EPILOG.splitlines() if line.startswith("  pkpo bias --")]
    assert len(lines) == 3
    for _, command, *arguments in lines:
        assert main([command, *arguments]) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 3 or "--json" in arguments


def test_the_table_of_the_page_is_what_its_script_computes() -> None:
    script = runpy.run_path(str(ROOT / "docs/tables/bias.py"))
    assert f"{script['START']}{script['table']()}{script['END']}" in (ROOT / "docs/bias.md").read_text()
