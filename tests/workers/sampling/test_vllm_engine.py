"""Real vLLM, on a small model made by the test, against Hugging Face's forward pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="SAMPLING WITH vLLM IS NOT TESTED: vllm is not installed")

from tests.documents import ROOT
from tests.workers.sampling.tiny import EOS, ids, logprob_of, save_tiny_model

# vLLM starts processes of its own and leaves threads behind: a program of its own keeps both out of the tests.
PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from workers.sampling import Request, SamplingRefused, SamplingSettings, sampling_engine

if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:])
    options = {"enforce_eager": True, "dtype": "float32", "max_model_len": 64}
    with sampling_engine("vllm", str(folder), options, [folder.parent.resolve()]) as engine:
        def drawn(requests, **settings):
            samples = engine.sample(requests, SamplingSettings.model_validate(settings))
            return sorted(map(dataclasses.asdict, samples), key=lambda each: each["sample_index"])
        requests = [Request("1+2", "1+2=", index, index) for index in range(16)]
        found = {"plain": drawn(requests, max_tokens=12), "again": drawn(requests, max_tokens=12)}
        found["stopped"] = drawn(requests, max_tokens=12, stop=["1", "2"])
        found["chat"] = drawn(requests[:1], max_tokens=8, prompt="chat")
        try:
            drawn([Request("long", "1" * 62, 0, 0)], max_tokens=3)
        except SamplingRefused as error:
            found["refused"] = str(error)
        for _ in engine.sample(requests, SamplingSettings(max_tokens=12)):
            break  # a reader that stops leaves an engine that is good for the next
        found["after"] = drawn(requests, max_tokens=12)
        out.write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_vllm_gives_what_the_interface_promises(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    program, out = tmp_path / "sample.py", tmp_path / "samples.json"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(program), str(folder), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(out.read_text())

    assert len({sample["text"] for sample in found["plain"]}) >= 10
    assert found["plain"] == found["again"] == found["after"]  # the same batch, so the same sums
    assert [sample["sample_index"] for sample in found["plain"]] == list(range(16))
    for sample in found["plain"]:
        tokens = ids(sample["text"]) + [EOS] * (sample["finish_reason"] == "stop")
        assert (sample["prompt_tokens"], sample["completion_tokens"]) == (4, len(tokens))
        assert sample["logprob"] == pytest.approx(logprob_of(folder, ids("1+2="), tokens), abs=1e-3)
    for plain, stopped in zip(found["plain"], found["stopped"], strict=True):
        assert stopped["text"] == plain["text"].partition("1")[0].partition("2")[0]
    assert found["chat"][0]["prompt_tokens"] == len("=1+2=+")
    assert found["refused"].startswith("Problem 'long': its prompt of 62 tokens and max_tokens 3")
