import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from pkpo import plot
from pkpo.cli import main
from pkpo.curves import PassAtKCurve
from tests.pkpo.commands import complaint
from tests.pkpo.results_files import evalplus, jsonl, rows, written

CURVE = PassAtKCurve.from_counts([8, 8, 16], [0, 3, 16], [1, 8])


def traces(curves: dict[str, PassAtKCurve]) -> list[dict[str, object]]:
    found = json.loads(json.dumps(plot.figure_json(curves)))["data"]
    assert isinstance(found, list)
    return found


def test_a_curve_is_a_ribbon_and_a_line_of_its_numbers() -> None:
    ribbon, line = traces({"step 0": CURVE})
    low, high = CURVE.points
    assert line["x"] == [1, 8]
    assert line["y"] == [low.value, high.value]
    assert line["name"] == "step 0 (n = 8..16, 3 problems)"
    assert "k attempts · 95 % intervals" in json.dumps(plot.figure_json({"step 0": CURVE}), ensure_ascii=False)
    assert ribbon["x"] == [1, 8, 8, 1]
    assert ribbon["y"] == [low.high, high.high, high.low, low.low]


def test_one_problem_has_a_line_without_a_ribbon() -> None:
    (line,) = traces({"one": PassAtKCurve.from_counts([8], [3], [1, 8])})
    assert line["name"] == "one (n = 8, 1 problem)"


def test_no_two_of_many_curves_look_alike() -> None:
    lines = [trace["line"] for trace in traces({str(i): CURVE for i in range(24)}) if "name" in trace]
    assert len({json.dumps(line) for line in lines}) == 24


def test_a_figure_is_of_one_metric() -> None:
    rewards = PassAtKCurve.from_rewards([[0.5, 1.0]], [1])
    with pytest.raises(ValueError, match="a figure is of one metric, got max_at_k and pass_at_k"):
        plot.figure_json({"a": CURVE, "b": rewards})
    with pytest.raises(ValueError, match="got no curve"):
        plot.figure_json({})


def test_html_holds_all_curves_and_asks_no_other_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, results = tmp_path / "curves.html", written(tmp_path, evalplus(), "<b>eval & results")
    assert main(["curve", str(results), "--html", str(path)]) == 0
    html = path.read_text(encoding="utf-8")
    assert "verifier base" in capsys.readouterr().out
    assert html.count("&lt;b&gt;eval &amp; results") == 2  # plotly takes a name for markup
    assert "<b>eval" not in html
    assert "\\u003cb\\u003eeval" not in html
    assert "<script src" not in html


def test_a_png_is_drawn_where_kaleido_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, results = tmp_path / "curves", written(tmp_path, jsonl(rows()))
    if find_spec("kaleido") is None:
        said = complaint(capsys, "curve", results, "--png", path)
        assert said == "--png needs kaleido: install pkpo with its extra `plot`"
        assert not path.exists()
    else:
        assert main(["curve", str(results), "--png", str(path)]) == 0
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_cannot_be_written_or_drawn_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = written(tmp_path, jsonl(rows()))
    assert main(["curve", str(results), "--html", str(tmp_path / "none" / "a.html")]) == 1
    assert capsys.readouterr().err == f"pkpo: {tmp_path / 'none' / 'a.html'}: No such file or directory\n"
    rewards = written(tmp_path, jsonl([{"problem": "a", "reward": 0.5}]), "rewards")
    assert main(["curve", str(results), str(rewards), "--html", str(tmp_path / "a.html")]) == 1
    assert capsys.readouterr().err == "pkpo: --html: a figure is of one metric, got max_at_k and pass_at_k\n"
