"""A checkpoint of a training as a folder of its own: what it loads as, and what its card says."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.training.checkpoint import steps, written
from pkpo.cli import main
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.training_jobs import spec, sums, trainer
from tests.workers.working import ended, submit

WHOLE = {"k": {"1": 0.5, "2": 0.5}, "k_eval": [1, 3, 4]}


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Export = Callable[..., Done]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def client(database_url: str, data: Path) -> Iterator[httpx.Client]:
    """A client of a server that has trained one run whole, and one by an adapter."""
    with (
        serving(database_url, data_dir=data) as url,
        trainer(database_url, data, lease=30.0, log=data / "worker.log"),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        problem_set = sums(client, "sums")
        whole = ended(client, submit(client, "training", spec("whole", problem_set, **WHOLE)), 120)
        assert whole["state"] == "succeeded", whole
        model = str(data / "checkpoints" / "1" / "whole" / "step-000000006")
        adapter = {
            "model": model,
            "lora": {"r": 2, "alpha": 4},
            "seeds": [3],
            "steps": 3,
            "evaluate_every": 1,
            "keep": 1,
        }
        adapted = ended(client, submit(client, "training", spec("adapted", problem_set, **adapter)), 120)
        assert adapted["state"] == "succeeded", (adapted, (data / "worker.log").read_text()[-3000:])
        yield client


@pytest.fixture(scope="module")
def export(client: httpx.Client, database_url: str, data: Path) -> Iterator[Export]:
    """`pkpo export` as an operator runs it, on the same database and data folder."""

    def run(*arguments: Any) -> Done:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            status = main(["export", *map(str, arguments)])
        return Done(status, out.getvalue(), err.getvalue())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PKPO_DATABASE_URL", database_url)
        patch.setenv("PKPO_DATA_DIR", str(data))
        yield run


@pytest.fixture(scope="module")
def folder(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "sums-whole"
    done = export("whole", "--step", 6, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"vllm serve {out}" in done.stdout
    return out


def logits(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        return model(**tokenizer("2+3=", return_tensors="pt", return_token_type_ids=False)).logits


def checkpoint_of(data: Path, run: str, step: int) -> Path:
    return data / "checkpoints" / "1" / run / f"step-{step:09d}"


def test_the_folder_loads_and_gives_the_logits_of_the_checkpoint(folder: Path, data: Path) -> None:
    assert torch.equal(logits(folder), logits(checkpoint_of(data, "whole", 6)))
    assert not torch.equal(logits(folder), logits(checkpoint_of(data, "whole", 4)))
    assert not (folder / "training").exists()
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {
        each.name for each in folder.iterdir()
    }


def test_the_card_has_the_numbers_of_the_api(folder: Path, client: httpx.Client) -> None:
    text = (folder / "README.md").read_text()
    checkpoints = client.get("/v1/runs/whole/curves").raise_for_status().json()["checkpoints"]
    evaluation = next(each["evaluation"] for each in checkpoints if each["step"] == 6)
    assert client.get(f"/v1/evaluations/{evaluation}/curve").json()["points"][-1]["k"] == 4
    asked = {"k": [1, 2, 3, 4]}  # 3 is none of the usual k, and of the spec's k_eval
    curve = client.get(f"/v1/evaluations/{evaluation}/curve", params=asked).raise_for_status().json()
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) to ([^|]+) \|$", text, re.MULTILINE)
    expected = [
        (str(point["k"]), *(f"{point[name]:.4f}" for name in ("value", "low", "high"))) for point in curve["points"]
    ]
    assert [tuple(each) for each in rows] == expected
    assert f"n = 4 completions of each of {curve['problems_used']} problems, judged by `{curve['verifier']}`" in text


def test_the_card_says_what_was_trained_on_and_how(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: transformers\n")
    assert "`sums@1`, 36 of them when this was written" in text
    assert "never trained on: 0.25, 9 problems, the set `sums.held-out-0.25@1`" in text
    assert 'pass@k, k weighted over `{"1": 0.5, "2": 0.5}` (transform `sloo_minus_one`)' in text
    assert "All weights were trained." in text
    told = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert (told["n"], told["optimizer"]["lr"], told["seeds"]) == (4, 0.01, [0])
    assert f"When: {datetime.now(UTC).date()} (UTC)." in text
    for library in ("torch", "transformers", "trl"):
        assert re.search(rf"{library} \d+\.\d+", text), library


def test_the_card_has_the_hash_of_every_file(folder: Path, data: Path) -> None:
    text = (folder / "README.md").read_text()
    found = dict(re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
    assert found.keys() == {each.name for each in folder.iterdir()} - {"README.md"}
    listed = "".join(f"{found[name]}  {name}\n" for name in sorted(found))
    done = subprocess.run(["sha256sum", "--check"], cwd=folder, input=listed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    whole = subprocess.run(["sha256sum"], input=listed, capture_output=True, text=True).stdout.split()[0]
    assert f"`{whole}`" in text
    assert written(checkpoint_of(data, "whole", 6)).sha256 == whole


def test_an_adapter_is_merged_and_the_card_says_so(export: Export, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapted"
    assert export("adapted", "--step", 2, "--out", out).returncode == 0
    assert not (out / "adapter_config.json").exists()
    assert torch.equal(logits(out), logits(checkpoint_of(data, "adapted", 2)))
    text = (out / "README.md").read_text()
    assert "An adapter (LoRA, r = 2, alpha = 4) was trained and is merged into the weights here" in text
    assert "Seed: 3." in text
    assert '"model": ".../whole/step-000000006"' in text
    began = "It began from step 6 of the run `whole`, which had come there by reinforcement learning for pass@k"
    made = "and began from a tiny model that was made on the spot (layers: 1 of width 16, heads: 2) and was taught"
    assert began in text
    assert f"on `sums@1` {made}, in 20 supervised steps of 16 answers, the answers to the problems of `sums@1`" in text
    told = [each.read_bytes() for each in out.iterdir()]
    assert not [each for each in told if str(data).encode() in each], "where it lay is for nobody who is given it"


@pytest.mark.parametrize(
    ("run", "step", "sentence"),
    [
        ("nobody", 6, "run"),
        ("whole", 5, "The run has no checkpoint of this step. Steps with one: 0, 3, 4, 6."),
        ("../../1/whole", 6, "run"),
    ],
)
def test_what_is_not_there_is_refused(export: Export, tmp_path: Path, run: str, step: int, sentence: str) -> None:
    done = export(run, "--step", step, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("pkpo: ")
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_was_removed_is_refused(export: Export, data: Path, tmp_path: Path) -> None:
    kept = steps(checkpoint_of(data, "adapted", 3).parent)
    assert set(kept) >= {2, 3}
    gone = next(step for step in (0, 1) if step not in kept)  # but for the last two the best alone is kept
    done = export("adapted", "--step", gone, "--out", tmp_path / "out")
    assert f"has no checkpoint of step {gone}. Steps kept: {', '.join(map(str, kept))}." in done.stderr


def test_the_weights_of_an_evaluated_checkpoint_stay_and_are_exported(
    export: Export, data: Path, client: httpx.Client, tmp_path: Path
) -> None:
    listed = client.get("/v1/runs/whole/checkpoints").raise_for_status().json()["checkpoints"]
    assert [(each["step"], each["evaluations"], each["kept"]) for each in listed] == [
        (0, 1, "weights"),
        (3, 1, "weights"),
        (4, 0, "all"),
        (6, 1, "all"),
    ]
    evaluated = client.get("/v1/runs/whole/curves").raise_for_status().json()["checkpoints"]
    for each in evaluated:
        model = client.get(f"/v1/evaluations/{each['evaluation']}").raise_for_status().json()["model"]
        assert model == next(one["path"] for one in listed if one["step"] == each["step"]), (
            "its weights are still there"
        )
    assert export("whole", "--step", 3, "--out", tmp_path / "out").returncode == 0
    assert torch.equal(logits(tmp_path / "out"), logits(checkpoint_of(data, "whole", 3)))
    assert listed[1]["sha256"] in (tmp_path / "out" / "README.md").read_text()
    assert listed[1]["bytes"] == sum(
        each.stat().st_size for each in checkpoint_of(data, "whole", 3).rglob("*") if each.is_file()
    )


def test_the_card_is_had_over_rest_too(folder: Path, client: httpx.Client) -> None:
    answer = client.get("/v1/runs/whole/checkpoints/6/card").raise_for_status()
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.replace('"this-folder"', '"sums-whole"').replace("./this-folder", "./sums-whole") == (
        (folder / "README.md").read_text()
    )
    assert client.get("/v1/runs/whole/checkpoints/5/card").status_code == 404
    assert client.get("/v1/runs/nobody/checkpoints/5/card").status_code == 404
    assert client.get("/v1/runs/whole/checkpoints/-1/card").status_code == 422


def test_a_folder_that_holds_something_is_left_alone(export: Export, folder: Path) -> None:
    before = (folder / "README.md").read_bytes()
    assert "is there already" in export("whole", "--step", 6, "--out", folder).stderr
    assert (folder / "README.md").read_bytes() == before


def test_an_incomplete_checkpoint_is_refused_and_nothing_is_left(export: Export, data: Path, tmp_path: Path) -> None:
    weights = checkpoint_of(data, "whole", 4) / "model.safetensors"
    kept = weights.read_bytes()
    damaged = bytearray(kept)
    damaged[-1] ^= 1
    try:
        weights.write_bytes(damaged)
        assert (
            "model.safetensors is not what was written there"
            in export("whole", "--step", 4, "--out", tmp_path / "out").stderr
        )
        weights.unlink()
        assert "model.safetensors is not there" in export("whole", "--step", 4, "--out", tmp_path / "out").stderr
    finally:
        weights.write_bytes(kept)
    manifest = checkpoint_of(data, "whole", 4) / "training" / "checkpoint.json"
    manifest.rename(manifest.with_suffix(".away"))
    try:
        assert "holds no whole checkpoint" in export("whole", "--step", 4, "--out", tmp_path / "out").stderr
    finally:
        manifest.with_suffix(".away").rename(manifest)
    assert list(tmp_path.iterdir()) == []
