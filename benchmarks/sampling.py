"""A sampling job on a model that is loaded, against the bare `LLM.generate` of the same requests on the same engine."""

import os
import string
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from app.config import Settings
from app.db import make_engine, migrate
from app.embedded_postgres import EmbeddedPostgres
from app.jobs import service
from app.models import Completion, Evaluation, Job
from benchmarks.ratio import Ratio
from tests.app.conftest import serving
from workers.child_sampling import run
from workers.child_work import Shelf, Work

PROBLEMS, N, MAX_TOKENS = 64, 16, 96  # of 95 characters and an end: 60 tokens in the mean
ROUNDS: Final = 5
# The smaller the model, the more of the time is ours: a million parameters are a hard case.
LAYERS, HIDDEN, CONTEXT = 4, 128, 128
OPTIONS: Final = {"enforce_eager": True, "dtype": "float32", "max_model_len": CONTEXT}
ON_A_PROCESSOR: Final = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}


def measure() -> Iterator[Ratio]:
    """Tokens a second of a job, all that it stores included, as a share of the bare engine's; medians, in turns."""
    if find_spec("vllm") is None:
        print("  not measured: vLLM is not installed")
        return
    os.environ.update(ON_A_PROCESSOR)
    with tempfile.TemporaryDirectory(prefix="pkpo-bench-") as name, EmbeddedPostgres(Path(name) / "data") as postgres:
        folder = Path(name).resolve()
        os.environ["PKPO_MODEL_ROOTS"] = str(folder)
        migrate(postgres.url)
        model = _saved_model(folder / "model")
        with serving(postgres.url, data_dir=folder / "data") as url, httpx.Client(base_url=url, timeout=60) as client:
            jobs, bare = _measured(_Jobs(client, postgres.url, folder / "data", model))
    detail = f"{jobs:,.0f} tokens/s, bare {bare:,.0f}; {PROBLEMS} × {N} completions, load {os.getloadavg()[0]:.1f}"
    yield Ratio("tokens/s of a sampling job", jobs / bare, "LLM.generate", at_least=0.95, detail=detail)


def _measured(jobs: "_Jobs") -> tuple[float, float]:
    jobs.tokens_a_second()  # loads the model
    pairs = [(jobs.tokens_a_second(), jobs.bare_tokens_a_second()) for _ in range(ROUNDS + 1)][1:]
    jobs.close()
    drawn, bare = zip(*pairs, strict=True)
    return median(drawn), median(bare)


class _Jobs:
    """Sampling jobs, each of an evaluation of its own, done here as a worker's process does them."""

    def __init__(self, client: httpx.Client, url: str, data_dir: Path, model: Path) -> None:
        self._client, self._model = client, model
        self._engine = make_engine(url)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._settings = Settings(database_url=url, data_dir=data_dir)
        self._shelf = Shelf()
        self._names = (f"bench-{number}" for number in count())
        self._prompts = {f"{a}+{b}": f"{a}+{b}=" for a in range(8) for b in range(PROBLEMS // 8)}
        client.put("/v1/problem-sets/sums@1", json={}).raise_for_status()
        problems = [{"problem": name, "prompt": prompt} for name, prompt in self._prompts.items()]
        client.post("/v1/problem-sets/sums@1/problems", json={"problems": problems}).raise_for_status()
        with self._sessions.begin() as session:
            self._worker = service.register(session, "bench", os.getpid(), ["gpu"], ["sampling:vllm"])

    def tokens_a_second(self) -> float:
        """Of a whole job but for its time in the queue."""
        run_name = next(self._names)
        spec = {"run": run_name, "problem_set": "sums@1", "model": str(self._model), "engine_options": OPTIONS, "n": N}
        told = {"kind": "sampling", "spec": spec | {"sampling": {"max_tokens": MAX_TOKENS}}}
        job_id = UUID(self._client.post("/v1/jobs", json=told).raise_for_status().json()["id"])
        with self._sessions.begin() as session:
            key = session.scalars(select(Job.id).filter_by(uuid=job_id)).one()
            claimed = service.claim(session, key, self._worker, lease=3600.0)
        assert claimed is not None
        with service.fenced(self._sessions, claimed.attempt) as session:
            job = session.get_one(Job, key)
        work = Work(
            self._sessions, self._settings, claimed.attempt, job.project_id, job.kind, job.spec, shelf=self._shelf
        )
        began = perf_counter()
        run(work)
        seconds = perf_counter() - began
        with self._sessions.begin() as session:
            service.finish(session, claimed.attempt)
            return _tokens_of_the_latest(session) / seconds

    def bare_tokens_a_second(self) -> float:
        """Of requests like those of a job, given to vLLM at once."""
        from vllm import SamplingParams, TokensPrompt

        from workers.sampling import SamplingSettings, by_problem

        kept: Any = self._shelf._kept
        llm = kept[1].engine._llm  # the engine of the jobs
        tokenizer = llm.get_tokenizer()
        settings = SamplingSettings(n=N, max_tokens=MAX_TOKENS)
        requests = list(by_problem(self._prompts, uuid4(), settings))
        prompts = [TokensPrompt(prompt_token_ids=tokenizer.encode(each.prompt)) for each in requests]
        params = [
            SamplingParams(temperature=1.0, max_tokens=MAX_TOKENS, seed=each.seed, logprobs=0) for each in requests
        ]
        began = perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        seconds = perf_counter() - began
        return sum(len(each.outputs[0].token_ids) for each in outputs) / seconds

    def close(self) -> None:
        """Let go of the model and of the database."""
        self._shelf.clear()
        self._engine.dispose()


def _tokens_of_the_latest(session: Session) -> int:
    """The tokens drawn for the evaluation that was made last, none of whose completions may lack."""
    evaluation = session.scalar(select(func.max(Evaluation.id)))
    drawn = select(func.count(), func.sum(Completion.completion_tokens)).filter_by(evaluation_id=evaluation)
    completions, tokens = session.execute(drawn).one()
    assert completions == PROBLEMS * N
    return int(tokens or 0)


def _saved_model(folder: Path) -> Path:
    """A model of characters, with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tests.workers.sampling.tiny import save_tiny_model

    save_tiny_model(folder, chat=False, characters=string.printable[:95], context=CONTEXT)
    config = Qwen2Config.from_pretrained(folder)
    config.update({"hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "num_hidden_layers": LAYERS})
    config.update(
        {
            "layer_types": ["full_attention"] * LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "initializer_range": 0.02,
        }
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
