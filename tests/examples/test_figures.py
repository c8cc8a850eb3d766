"""The figures of examples/figures.py show the numbers that the paper's do, and those that are kept."""

import json
import runpy
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from plotly.io import from_json

from pkpo import max_at_k
from tests.documents import ROOT

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "examples/figures.py"))
KEPT = json.loads((ROOT / "docs/tables/figure-4.json").read_text())
PAGE = (ROOT / "docs/figures.md").read_text()

# By quadrature and by simulation of 10,000 estimates, apart from this library's code.
OPTIMA = {1: 0.8624, 2: 0.9017, 4: 0.9387, 8: 0.9690, 16: 0.9856}
VARIANCES = {
    "naive partitioned, no baseline": (133, 16.3),
    "all subsets, no baseline: s": (118, 13.6),
    "naive partitioned, baselined": (37.8, 3.33),
    "all subsets, baselined: sloo": (13.2, 0.526),
    "loo minus one, partitioned": (5.1, 0.610),
    "not in the paper: centered": (4.7, 0.449),
    "loo minus one, all subsets: sloo_minus_one": (2.1, 0.186),
}


def dots(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_figure_1_has_its_dots_at_the_best_theta_of_each_k() -> None:
    found = [dot.x[0] for dot in dots(SCRIPT["figure_1"]())]
    assert sorted(found[::2]) == pytest.approx(list(OPTIMA.values()), abs=5e-5)
    assert found[::2] == found[1::2]  # of max_g@k and of its derivative


def test_figure_2_has_the_weights_of_the_estimate() -> None:
    lines = {trace.name: np.array(trace.y) for trace in SCRIPT["figure_2"]().data}
    assert lines["k = 2"] == pytest.approx(np.arange(8) / 28)  # 0, .0357, ..., .25
    assert lines["k = 1"] == pytest.approx([0.125] * 8)
    assert lines["k = 8"] == pytest.approx([0] * 7 + [1])
    rewards = np.sort(np.random.default_rng(0).normal(size=8))
    assert lines["k = 3"] @ rewards == pytest.approx(float(max_at_k(rewards, 3)))


@pytest.mark.parametrize("method", VARIANCES)
def test_figure_4_keeps_the_variances_that_the_paper_plots(method: str) -> None:
    """A sample variance of 10,000 has an error of its own: sqrt(seeds) times that of the mean over seeds."""
    kept = {row["n"]: row for row in KEPT["rows"] if row["method"] == method}
    for n, expected in zip((8, 64), VARIANCES[method], strict=True):
        assert abs(kept[n]["variance"] - expected) < 3 * 40**0.5 * kept[n]["standard_error"]


def test_figure_4_measures_what_is_kept() -> None:
    again = SCRIPT["variances"](draws=2000, seeds=range(100, 104))
    for row, kept in zip(again, KEPT["rows"], strict=True):
        assert (row["method"], row["n"]) == (kept["method"], kept["n"])
        assert row["variance"] == pytest.approx(kept["variance"], rel=0.3)  # of 8,000 estimates with heavy tails


def test_figure_4_finds_the_least_variance_where_its_title_says() -> None:
    figure = SCRIPT["figure_4"](KEPT["rows"])
    lowest = np.min([trace.y for trace in figure.data], axis=0)
    assert lowest.tolist() == list(figure.data[-1].y)
    assert figure.data[-1].name.endswith("sloo_minus_one")


@pytest.mark.parametrize("name", ["s", "sloo", "sloo_minus_one"])
@pytest.mark.parametrize("k", [1, 2, 16])
def test_figure_5_has_its_lines_through_the_means_of_sampled_groups(name: str, k: int) -> None:
    x, sampled = SCRIPT["mean_credits"](name, k, n=32, groups=4000, bins=40, seed=1)
    assert sampled == pytest.approx(SCRIPT["expected_credit"](name, x, k, n=32), abs=1.5e-3)


def test_figure_5_has_a_line_and_dots_for_each_k_in_each_panel() -> None:
    figure = SCRIPT["figure_5"]()
    assert len(figure.data) == 2 * 3 * 5
    assert max(dots(figure)[-1].y) < 0.05 < max(dots(figure)[4].y)  # the offset of s at k = 16, and without it


def test_the_page_shows_every_figure_and_the_numbers_that_are_kept() -> None:
    for name in ("figure-1", "figure-2", "figure-4", "figure-5"):
        assert f"images/{name}.png" in PAGE
        assert (ROOT / f"docs/images/{name}.png").stat().st_size > 10_000
        assert (ROOT / f"docs/images/{name}.json").exists()
    for row in KEPT["rows"]:
        assert f"{row['variance']:.3g} ± {row['standard_error']:.1g}" in PAGE


def test_the_figures_of_the_site_are_what_the_script_draws() -> None:
    drawn = {name: SCRIPT["FIGURES"][name]() for name in ("figure-1", "figure-2", "figure-5", "which-baseline")}
    for name, figure in {**drawn, "figure-4": SCRIPT["figure_4"](KEPT["rows"])}.items():
        kept = from_json((ROOT / f"docs/images/{name}.json").read_text())
        assert kept.layout == figure.layout
        for trace, expected in zip(kept.data, figure.data, strict=True):
            assert trace.name == expected.name
            y = trace.y  # Plotly's JSON has arrays as their bytes
            found = np.frombuffer(b64decode(y["bdata"]), y["dtype"]) if isinstance(y, dict) else np.array(y, float)
            assert np.allclose(found, np.array(expected.y, float), equal_nan=True)
