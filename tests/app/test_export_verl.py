"""Folders for verl: what a spec cannot hand on, which problems are in them, and what submission says."""

import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from app.exports.verl import RAW_TEMPLATE, Cluster, NotExpressible, config
from app.exports.verl_folder import yaml_lines
from app.jobs.specs.training import TrainingSpec
from app.problem_sets.held_out import split
from pkpo.cli import main
from pkpo.problems import Problem

SPEC: dict[str, Any] = {
    "run": "sums",
    "model": "owner/name",
    "problem_set": "sums@1",
    "held_out": 0.25,
    "verifier": "exact-match",
    "n": 8,
    "problems_per_step": 8,
    "k": 8,
    "steps": 6,
}
SUMS = [Problem(f"{a}+{b}", f"{a}+{b}=", str(a + b)) for a in range(8) for b in range(8)]


def refusal(**more: Any) -> str:
    with pytest.raises(NotExpressible) as refused:
        config(TrainingSpec.model_validate(SPEC | more), 0, Cluster(), 4)
    return str(refused.value)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"model": {"init": "tiny"}}, "model: a tiny one is made by the training job"),
        ({"model": "owner/name@main"}, "model: verl takes no revision of the hub"),
        ({"model": "models/mine/x"}, "model: 'models/mine/x' is neither a hub name"),
        ({"pad_token": "<pad>"}, "pad_token: verl takes the tokenizer's own"),
        ({"baseline": "grpo", "k": None}, "baseline: the plug-in of verl makes credits by transforms"),
        ({"transform": "history(0.5)"}, "transform: history knows problems apart"),
        ({"until": {"saturated_for": 5}}, "until: verl stops after a number of steps"),
        ({"steps": 0}, "steps: verl needs one step at least"),
        ({"loss": "bnpo"}, "loss: verl has no bnpo"),
        ({"entropy": 0.1}, "entropy: verl weighs entropy as it does the loss"),
        ({"optimizer": {"schedule": "linear"}}, "optimizer.schedule: verl's are constant and cosine"),
        ({"lora": {"dropout": 0.1}}, "lora.dropout: verl's adapters have none"),
        ({"lora": {"alpha": 1.5}}, "lora.alpha: verl takes a whole number; got 1.5"),
        ({"lora": {"r": 1024}}, "serves ranks up to 512; got 1024"),
        ({"problems_per_step": 4}, "micro_batch: the 32 completions of a step"),
    ],
)
def test_what_verl_cannot_be_told_is_refused_with_its_reason(more: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**more)


def test_a_schedule_that_knows_problems_apart_is_refused() -> None:
    told = {"schedule": "signal", "smallest": 1, "largest": 8, "per_problem": True}
    assert "k: a schedule that observes solve_rates knows problems apart" in refusal(k=told)


def test_all_refusals_are_told_at_once() -> None:
    lines = refusal(pad_token="<pad>", loss="bnpo", optimizer={"schedule": "linear"}).splitlines()
    assert [each.partition(":")[0] for each in lines] == ["pad_token", "loss", "optimizer.schedule"]


def test_entropy_is_the_same_where_the_loss_is_a_mean_over_tokens() -> None:
    spec = TrainingSpec.model_validate(SPEC | {"loss": "dapo", "entropy": 0.1})
    actor = config(spec, 0, Cluster(), 4)["actor_rollout_ref"]["actor"]
    assert (actor["loss_agg_mode"], actor["entropy_coeff"]) == ("token-mean", 0.1)
    assert "loss_scale_factor" not in actor


def export(tmp_path: Path, *arguments: object, **more: Any) -> int:
    spec, problems = tmp_path / "spec.json", tmp_path / "sums.jsonl"
    spec.write_text(json.dumps({"kind": "training", "spec": SPEC | more}))
    problems.write_text("".join(json.dumps(each.sent()) + "\n" for each in SUMS))
    return main(["train", "export-verl", str(spec), "--out", str(tmp_path / "out"), *map(str, arguments)])


def names(path: Path) -> set[str]:
    return {each["extra_info"]["problem"] for each in pq.read_table(path).to_pylist()}


def test_the_problems_held_out_are_those_of_a_training_job(tmp_path: Path) -> None:
    assert export(tmp_path, "--problems", tmp_path / "sums.jsonl", seeds=[1, 2]) == 0
    training, held_out = split(SUMS, 0.25)
    for seed in (1, 2):
        folder = tmp_path / "out" / f"sums-seed-{seed}"
        assert names(folder / "train.parquet") == {each.name for each in training}
        assert names(folder / "held-out.parquet") == {each.name for each in held_out}
        assert json.loads((folder / "spec.json").read_text())["seeds"] == [seed]
        assert f"seed: {seed}\n" in (folder / "config.yaml").read_text()
        assert "@" not in (folder / "launch.sh").read_text().replace('"$@"', "").replace("[@]", "")


def test_the_problems_come_from_the_server(tmp_path: Path, client: httpx.Client, base_url: str) -> None:
    client.put("/v1/problem-sets/sums@1", json={}).raise_for_status()
    sent = {"problems": [each.sent() for each in SUMS]}
    client.post("/v1/problem-sets/sums@1/problems", json=sent).raise_for_status()
    assert export(tmp_path, "--url", base_url) == 0
    assert len(names(tmp_path / "out" / "train.parquet")) == 48


def test_a_refused_export_says_why_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "--problems", tmp_path / "sums.jsonl", loss="bnpo") == 1
    assert capsys.readouterr().err.startswith("pkpo: verl cannot train this spec:\nloss: verl has no bnpo")
    assert export(tmp_path, "--problems", tmp_path / "sums.jsonl", n=0) == 1
    assert "is no training spec:\nn: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    assert export(tmp_path, "--problems", tmp_path / "sums.jsonl") == 1
    assert "is there already" in capsys.readouterr().err


def test_a_job_with_engine_verl_is_told_the_command(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": SPEC | {"engine": "verl"}})
    assert answer.status_code == 422
    assert "`pkpo train export-verl SPEC.json --out FOLDER`" in answer.json()["detail"]
    assert answer.json()["errors"][0]["pointer"] == "/spec/engine"


def test_raw_prompts_have_the_tokens_that_the_tokenizer_gives_them() -> None:
    transformers = pytest.importorskip("transformers", reason="TEMPLATE NOT TESTED: no transformers here")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<s>": 0} | {character: 1 + i for i, character in enumerate("0123456789+=")}
    for begins in (True, False):
        made = Tokenizer(models.WordLevel(words, unk_token="<s>"))
        made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        if begins:
            made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
        first = {"bos_token": "<s>"} if begins else {}
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, chat_template=RAW_TEMPLATE, **first)
        chat = [{"role": "user", "content": "2+3="}]
        found = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
        assert found == tokenizer("2+3=")["input_ids"]


def test_nothing_in_a_value_is_resolved_by_verls_parser() -> None:
    assert yaml_lines({"path": "/models/${oc.env:HOME}", "k": {"1": 0.5}}) == [
        'path: "/models/\\\\${oc.env:HOME}"',
        "k:",
        '  "1": 0.5',
    ]
