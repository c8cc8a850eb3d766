"""examples/which_baseline.py measures variances rightly, runs to its end, and its page shows what it kept."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pkpo import oracle
from tests.documents import ROOT

pytest.importorskip("torch")

TABLES = ROOT / "docs/tables/which-baseline.json"
REWARDS, CHANCES = [0.0, 0.5, 2.0], [0.5, 0.3, 0.2]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield import_module("which_baseline")


@pytest.fixture(scope="module")
def language_model(script: Any) -> Any:
    return script.language_model


def past(script: Any, value: float) -> dict[str, Any]:
    return dict.fromkeys(script.HISTORIES, np.array(value))


def test_every_method_is_unbiased(script: Any) -> None:
    p = 0.3
    for k in script.KS:
        for name in script.methods(k, script.N, binary=True):
            found = oracle.bernoulli(lambda g: script.credits(name, g, k, past(script, 0.4)), script.N, p)  # noqa: B023
            assert found.mean == pytest.approx(oracle.pass_at_k_gradient(k, p), rel=1e-9), (name, k)


def test_the_methods_of_every_k_are_those_that_exist(script: Any) -> None:
    assert "alpha_loo" not in script.methods(4, 16, binary=False)
    assert {"sloo", "centered", "mixed(0.5)"}.isdisjoint(script.methods(16, 16, binary=True))
    assert {"s", "plugin", "sloo_minus_one", "history"} <= set(script.methods(16, 16, binary=False))


def test_exact_rows_are_those_of_the_oracle(script: Any) -> None:
    rows = {(row.setting, row.k, row.method): row for row in script.bernoulli_rows(script.QUICK, [])}
    for name in ("s", "sloo", "sloo_minus_one", "centered", "plugin", "mixed(0.25)", "alpha_loo"):
        exact = oracle.bernoulli(lambda g: script.credits(name, g, 4, {}), script.N, 0.3)  # noqa: B023
        assert rows["bernoulli, p = 0.3, one parameter", 4, name].variance == pytest.approx(exact.variance)
    # By hand: at k = 1 each pass less the mean of the others, over n, has variance pq (1 + 1 / (n - 1)) / n^2.
    assert rows["bernoulli, p = 0.3, orthogonal", 1, "plugin"].variance == pytest.approx(0.21 * 16 / 15 / 16)


def test_kept_exact_rows_are_what_the_script_gives(script: Any) -> None:
    kept = {
        (row["setting"], row["k"], row["method"]): row for row in json.loads(TABLES.read_text())["bernoulli"]["rows"]
    }
    for row in script.bernoulli_rows(script.QUICK, []):
        found = kept.pop((row.setting, row.k, row.method))
        assert found["variance"] == pytest.approx(row.variance, rel=1e-4, abs=1e-12)
    assert not kept


def test_variances_from_pools_are_those_of_the_oracle(script: Any) -> None:
    """Many small pools from a policy of three categories, whose covariance is exact, and whose scores are e_a - pi."""
    random = np.random.default_rng(0)
    scores = np.eye(3) - CHANCES
    found = []
    for _ in range(300):
        drawn = random.choice(3, 48, p=CHANCES)
        gram = scores[drawn] @ scores[drawn].T
        found.append(script.second_moments(np.array(REWARDS)[drawn], gram, 30, random, binary=False))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    for name in ("sloo_minus_one", "centered", "plugin", "mixed(0.5)"):
        for k in (2, 4, 8):
            place = script.KS.index(k), script.METHODS.index(name)
            exact = oracle.categorical(lambda g: script.credits(name, g, k, {}), script.N, REWARDS, CHANCES)  # noqa: B023
            assert abs(mean[place] - np.trace(exact.covariance)) < 4 * error[place], (name, k)
            assert error[place] < 0.15 * mean[place]  # or the line above would hold for much else
    assert np.isnan(mean[script.KS.index(16), script.METHODS.index("centered")])


def test_ratios_are_of_sums_over_problems_and_their_intervals_hold_them(script: Any) -> None:
    variances = np.random.default_rng(0).uniform(1, 2, (2, 30, len(script.KS), len(script.METHODS)))
    variances[..., script.METHODS.index("plugin")] = variances[..., script.METHODS.index("sloo_minus_one")] / 2
    rows = list(script.ratio_rows("a model", variances, np.random.default_rng(1), draws=200))
    for row in rows:
        assert row.low <= row.ratio <= row.high
        if row.method == "plugin":
            assert (row.ratio, row.low, row.high) == pytest.approx((0.5, 0.5, 0.5))
    row = next(row for row in rows if row.method == "s" and row.k == 4)
    at = script.KS.index(4)
    sums = variances[:, :, at].sum(axis=(0, 1))
    assert row.ratio == pytest.approx(sums[0] / sums[script.METHODS.index("sloo_minus_one")])
    assert 0.02 < row.high - row.low < 0.4


def test_a_gram_matrix_is_of_the_gradients_that_autograd_gives(language_model: Any) -> None:
    import torch

    torch.manual_seed(0)
    model = language_model.LanguageModel()
    problem = language_model.Problem((7, 58, 9))
    texts = [problem.worked((0, 1, 2)), problem.worked((1, 2, 0)), "7+7"]  # the last without an end, and shorter
    found = language_model.gradients(model, problem, texts)
    for text, row in zip(texts, found, strict=True):
        model.zero_grad()
        codes = language_model.encoded([problem.text + text])
        log_p = model(codes)[0].log_softmax(-1)
        start = len(problem.text)
        sum(log_p[place - 1, codes[0, place]] for place in range(start, codes.shape[1])).backward()
        expected = torch.cat([each.grad.flatten() for each in model.parameters()])
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


def test_a_completion_is_judged_by_its_answer(language_model: Any) -> None:
    problem = language_model.Problem((7, 58, 9))
    assert problem.worked((1, 2, 0)) == "58+9,67+7,74."
    assert problem.rewards("58+9,67+7,74.") == (1, 1)
    assert problem.rewards("58+9,67+7,64.") == pytest.approx((0, np.exp(-1)))
    assert problem.rewards("58+9,67+7,74") == (0, 0)  # it never ended


def test_chances_of_completions_depend_on_no_padding_and_no_later_character(language_model: Any) -> None:
    import torch

    torch.manual_seed(0)
    model = language_model.LanguageModel()
    short, long = (language_model.encoded(texts) for texts in (["7+5+8=7"], ["7+5+8=7", "7+5+8=7+5,12+8,20."]))
    alone, beside = language_model.log_likelihood(model, short, 6), language_model.log_likelihood(model, long, 6)
    torch.testing.assert_close(alone[0], beside[0])
    assert 0 > beside[0] > beside[1]


@pytest.mark.slow
def test_the_script_runs_to_its_end_and_keeps_what_it_found(script: Any, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "found.json"
    script.main(["--quick", "--out", str(file)])
    kept = json.loads(file.read_text())
    assert kept.keys() == script.PARTS.keys()
    assert kept["model"]["effort"] == json.loads(json.dumps(asdict(script.QUICK)))
    assert kept["model"]["models"][0]["step"] == script.QUICK.stages[0]
    settings = {row["setting"] for part in kept.values() for row in part["rows"]}
    printed = capsys.readouterr().out
    assert settings
    assert all(f"| {setting} |" in printed for setting in settings)
    toy = {(row["k"], row["method"]): row for row in kept["toy"]["rows"]}
    assert toy[4, "centered"]["low"] > 1 > toy[1, "history(long)"]["high"]


def test_the_page_shows_the_tables_that_are_kept(script: Any) -> None:
    page = (ROOT / "docs/which-baseline.md").read_text()
    parts = [[script.Row(**row) for row in part["rows"]] for part in json.loads(TABLES.read_text()).values()]
    rows = [row for part in parts for row in part]
    whole = [
        script.table([row for row in rows if row.setting == at]) for at in dict.fromkeys(row.setting for row in rows)
    ]
    shown = [table for table in whole if table.splitlines()[0] in page]
    assert len(shown) >= 3
    assert [table for table in shown if table not in page] == []
    lines = script.across(rows, "plugin").splitlines()
    assert [line for line in lines if line not in page] == []
