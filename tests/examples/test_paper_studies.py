"""examples/paper's studies: schedules are told what they observe, runs resume, tables say what was kept."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pkpo
from pkpo.baselines import pass_k_grpo
from pkpo.schedules import from_spec
from tests.documents import ROOT

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def paper() -> Iterator[Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples/paper"))
        yield SimpleNamespace(**{name: import_module(name) for name in ("stacked", "learning", "study", "report")})
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def out(paper: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every study at its tiny size, whole."""
    folder = tmp_path_factory.mktemp("studies")
    for name in paper.study.STUDIES:
        assert paper.study.main([name, "--out", str(folder), "--size", "tiny"]) == 0
    return folder


def kept(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


SECONDS = ("seconds", "cpu_seconds", "when")


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in SECONDS}


@pytest.mark.slow  # it waits for every study
def test_a_study_goes_on_where_it_was_stopped(paper: Any, out: Path, tmp_path: Path) -> None:
    """What a line cut short and two runs not made leave, a second call makes again, number by number."""
    whole = kept(out / "hard.jsonl")
    for taught in out.glob("*.pt"):
        (tmp_path / taught.name).write_bytes(taught.read_bytes())
    lines = (out / "hard.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "hard.jsonl").write_text("".join(lines[:-2]) + lines[-2][:50])
    assert paper.study.main(["hard", "--out", str(tmp_path), "--size", "tiny", "--minutes", "0"]) == 3
    assert len(kept(tmp_path / "hard.jsonl")) == len(whole) - 2
    assert paper.study.main(["hard", "--out", str(tmp_path), "--size", "tiny"]) == 0
    assert list(map(untimed, kept(tmp_path / "hard.jsonl"))) == list(map(untimed, whole))


def test_runs_of_another_policy_are_not_mixed_in(paper: Any, out: Path, tmp_path: Path) -> None:
    head = kept(out / "hard.jsonl")[0]
    (tmp_path / "hard.jsonl").write_text(json.dumps(head | {"start": "0" * 64}) + "\n")
    for taught in out.glob("*.pt"):
        (tmp_path / taught.name).write_bytes(taught.read_bytes())
    with pytest.raises(ValueError, match="runs of another start"):
        paper.study.main(["hard", "--out", str(tmp_path), "--size", "tiny"])


def test_every_arm_has_every_seed_and_begins_alike(paper: Any, out: Path) -> None:
    for name, study in paper.study.STUDIES.items():
        head, *runs = kept(out / f"{name}.jsonl")
        expected = {(arm.name, seed) for arm in study.arms(head["setting"]["steps"]) for seed in (0, 1)}
        assert {(run["name"], run["seed"]) for run in runs} == expected
        assert len(runs) == len(expected)
    three = {kept(out / f"{name}.jsonl")[0]["start"] for name in ("schedules", "rivals", "entropy", "phases", "note")}
    assert len(three) == 1


def test_the_k_of_a_run_is_its_schedules(paper: Any, out: Path) -> None:
    head, *runs = kept(out / "schedules.jsonl")
    steps = head["setting"]["steps"]
    by_name = {run["name"]: run for run in runs if run["seed"] == 0}
    assert by_name["k=8"]["k_now"][-1] == "8"
    assert by_name["8 to 1"]["k_now"][-1] == "1"
    assert by_name["linear 8 to 1"]["k_now"][-1] == "1"
    assert by_name["8 to 1"]["k"]["at"] == steps // 3
    for name in ("adaptive up", "adaptive down"):
        assert json.loads(json.dumps(by_name[name]["k"]))["schedule"] == "adaptive"


RESULTS = ROOT / "examples/paper/results/studies"


def test_the_page_shows_what_was_kept(paper: Any) -> None:
    page = (ROOT / "docs/reproduction.md").read_text()
    written = paper.report.written(RESULTS)
    assert written
    for tables in written.values():
        for table in tables:
            assert table in page


def test_pictures_show_the_means_over_the_seeds_that_were_kept(paper: Any) -> None:
    runs = [run for run in kept(RESULTS / "schedules.jsonl")[1:] if run["name"] == "k=8"]
    assert sorted(run["seed"] for run in runs) == [0, 1, 2]
    figures = paper.report.figures(RESULTS)
    assert set(figures) == set(paper.report.FINDINGS)
    for name, figure in figures.items():
        assert (ROOT / f"docs/images/{name}.json").read_text() == figure.to_json() + "\n"
    of_8 = [trace for trace in figures["paper-figure-3"].data if trace.name == "k=8"]
    assert of_8[-1].y[-1] == pytest.approx(np.mean([row[5] for run in runs for row in run["rolling"][-3:]]))
    matrix = figures["paper-figure-7"].data[0]
    held_out = np.mean([run["pass_at_k"]["16"][0] for run in runs])
    assert matrix.text[list(matrix.y).index("k=8")][-1].startswith(f"{held_out:.3f}")


def training(paper: Any, arm: Any, **changed: Any) -> Any:
    setting = {"numbers": 3, "n": 16, "problems": 4, "steps": 40, "lr": 1e-3, "pool": 64, "held_out": 8}
    shape = paper.stacked.Shape(16, 2, 2, 17)
    start = paper.stacked.initial(shape, 0)[None]
    of = paper.learning.Setting(**setting | {"evaluate_every": 0, "measure_every": 2} | changed)
    return paper.learning.Training(shape, start, [arm], of, "cpu", torch.float32)


def test_schedules_are_told_what_they_observe(paper: Any) -> None:
    """adaptive the solve rate of each step; plateau the mean of pass@8 over the steps since it last measured."""
    adaptive = {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "up"}
    plateau = {"schedule": "plateau", "levels": [8, 1], "patience": 1}
    for spec in (adaptive, plateau):
        made = training(paper, paper.learning.Arm("a", 0, spec))
        expected, schedule = from_spec(spec).start(), from_spec(spec)
        for step, (rate, pass_at_8) in enumerate([(0.25, 0.5), (0.5, 0.7), (0.25, 0.1), (0.0, 0.2)]):
            rolling = torch.full((1, 6), 0.9)
            rolling[0, 3] = pass_at_8
            made._tell_schedules(step, torch.tensor([rate]), rolling)
            watched = {1: 0.6, 3: 0.15}.get(step) if spec is plateau else rate
            expected = schedule.after(expected, None if watched is None else watched)
        assert made.states[0] == pytest.approx(expected)
    assert made.ks() == [1]  # from .6 to .15: it moved on


def test_rolling_pass_at_k_is_pkpos(paper: Any) -> None:
    made = training(paper, paper.learning.Arm("a", 0, 8))
    for k, row in zip((1, 2, 4, 8, 12, 16), made.pass_at_k.tolist(), strict=True):
        np.testing.assert_allclose(row, pkpo.pass_at_k(16, np.arange(17), k), atol=1e-6)


def test_the_entropy_term_is_that_of_each_token_drawn(paper: Any) -> None:
    """Its gradient is that of a sum by hand, and a step along it raises the entropy."""
    stack = paper.stacked.Stack(
        paper.stacked.Shape(16, 2, 2, 17),
        3 * paper.stacked.initial(paper.stacked.Shape(16, 2, 2, 17), 1)[None],
        torch.float32,
    )
    prompts = torch.randint(1, 42, (1, 2, 7))
    drawn = stack.sampled(prompts, 4, 10)
    none = torch.zeros(1, 2, 4)
    loss, before = paper.learning.weighted(stack, prompts, drawn, none, [0.1])
    read = torch.cat([prompts[:, :, None].expand(1, 2, 4, 7), drawn[..., :-1]], -1).view(1, 8, -1)
    log_p = stack.logits(read, 6).log_softmax(-1)[0]
    total = 0.0
    for row, tokens in zip(log_p, drawn.view(8, 10).tolist(), strict=True):
        length = tokens.index(0) + 1 if 0 in tokens else 10
        total += -(row[:length].exp() * row[:length]).sum()
    torch.testing.assert_close(loss, -0.1 * total / 8)
    stack.backward(loss)
    paper.learning.Optimizer(stack, [0.01], 1.0).step(1.0)
    after = paper.learning.weighted(stack, prompts, drawn, none)[1]
    assert after > before
    assert paper.learning.weighted(stack, prompts, drawn, none)[0] == 0


def test_the_notes_credits_are_its_baselines(paper: Any) -> None:
    rewards = (torch.rand(2, 5, 16, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    found = paper.learning.stacked_credits(rewards, [4, 4], ["pass_k_grpo", "sloo_minus_one"])
    for place, expected in enumerate(
        (
            pass_k_grpo(rewards[0].double().numpy(), 4, scale="rms"),
            pkpo.sloo_minus_one(rewards[1].double().numpy(), 4, scale="rms"),
        )
    ):
        np.testing.assert_allclose(found[place].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_tables_say_what_was_kept(paper: Any, out: Path) -> None:
    """The mean over two seeds with its standard error, by hand; strata are those of the taught policy."""
    head, *runs = kept(out / "schedules.jsonl")
    values = [run["pass_at_k"]["8"][0] for run in runs if run["name"] == "8 to 1"]
    cell = f"{np.mean(values):.3f} ± {abs(values[0] - values[1]) / 2:.3f}"
    tables = paper.report.written(out)
    assert set(tables) == set(paper.study.STUDIES) - {"rivals"}  # which stand beside schedules
    row = next(row for row in tables["schedules"][0].splitlines() if row.startswith("| 8 to 1 |"))
    assert row.split("|")[5].strip() == cell
    never = np.array(head["reference"]) == 0
    hardest = [pkpo.pass_at_k(16, np.array(run["solved"])[never], 1).mean() for run in runs if run["name"] == "k=8"]
    columns = tables["schedules"][-1].splitlines()[0].split("|")
    place = columns.index(f" never ({never.sum()}): pass@1 ")
    row = next(row for row in tables["schedules"][-1].splitlines() if row.startswith("| k=8 |"))
    assert row.split("|")[place].strip().startswith(f"{np.mean(hardest):.3f} ±")


def test_figures_are_drawn_of_every_study(paper: Any, out: Path) -> None:
    figures = paper.report.figures(out)
    names = {f"paper-{name}" for name in ("figure-3", "figure-6", "figure-7", "figure-8", "schedules", "phases")}
    names |= {"paper-figure-8-arc"}
    assert set(figures) == names
    assert {trace.name for trace in figures["paper-phases"].data} >= {"k=1", "k=64", "all four k", "before"}
