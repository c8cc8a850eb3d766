"""Weights exchanged under a running vLLM, held to Hugging Face's log-probabilities: a status would say nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="EXCHANGED WEIGHTS ARE NOT TESTED: vllm is not installed")

from tests.documents import ROOT
from tests.workers.sampling.tiny import ids, logprob_of, save_tiny_model

PROGRAM = """
import json, sys
from pathlib import Path
from vllm import LLM, SamplingParams, TokensPrompt
from workers.sampling.swappable import EXTENSION, swap_weights

if __name__ == "__main__":
    before, after, out, prompt = map(json.loads, sys.argv[1:])
    llm = LLM(model=before, load_format="safetensors", dtype="float32", max_model_len=64, enforce_eager=True,
              worker_extension_cls=EXTENSION)
    def drawn():
        params = SamplingParams(n=8, max_tokens=12, logprobs=0, seed=0)
        [output] = llm.generate(TokensPrompt(prompt_token_ids=prompt), params, use_tqdm=False)
        return [[list(each.token_ids), each.cumulative_logprob] for each in output.outputs]
    found = [drawn()]
    for folder in (after, before):
        swap_weights(llm, Path(folder))
        found.append(drawn())
    Path(out).write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_after_an_exchange_vllm_computes_with_the_new_weights(tmp_path: Path) -> None:
    before, after = save_tiny_model(tmp_path / "before"), save_tiny_model(tmp_path / "after", seed=1)
    prompt = ids("1+2=")
    program, out = tmp_path / "swap.py", tmp_path / "drawn.json"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    told = [json.dumps(each) for each in (str(before), str(after), str(out), prompt)]
    done = subprocess.run(
        [sys.executable, str(program), *told], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-4000:]

    found = json.loads(out.read_text())
    for folder, drawn in zip((before, after, before), found, strict=True):
        assert len({tuple(tokens) for tokens, _ in drawn}) >= 4
        for tokens, logprob in drawn:
            assert logprob == pytest.approx(logprob_of(folder, prompt, tokens), abs=1e-3)
    assert [tokens for tokens, _ in found[0]] == [tokens for tokens, _ in found[2]]
    tokens, logprob = found[0][0]
    assert logprob != pytest.approx(logprob_of(after, prompt, tokens), abs=1e-1), "the two models differ"
