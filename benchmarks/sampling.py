"""A sampling job on a model that is loaded, against the bare `LLM.generate` of the same requests on the same engine."""

import gc
import os
import string
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import httpx
import psutil  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from app.config import Settings
from app.db import make_engine, migrate
from app.embedded_postgres import EmbeddedPostgres
from app.jobs import service
from app.models import Completion, Evaluation, Job
from benchmarks.ratio import Ratio
from tests.app.serving import serving
from workers.child.sampling import run
from workers.child.work import Shelf, Work
from workers.sampling import SamplingSettings, by_problem

PROBLEMS, N, MAX_TOKENS = 48, 16, 192
ROUNDS: Final = 5
# The smaller the model, the more of the time is ours: a million parameters are a hard case.
LAYERS, HIDDEN, CONTEXT = 4, 128, 256
RARE_END: Final = -0.15  # the end's weight on what all hidden states share
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
    size = f"{PROBLEMS} × {N} completions of {jobs.tokens / PROBLEMS / N:.0f} tokens, load {os.getloadavg()[0]:.1f}"
    detail = f"{jobs.tokens_a_second:,.0f} tokens/s, bare {bare.tokens_a_second:,.0f}; {size}"
    share = jobs.tokens_a_second / bare.tokens_a_second
    yield Ratio("tokens/s of a sampling job", share, "LLM.generate", at_least=0.95, detail=detail)
    # Other work takes of both as much as it likes of the time, of their CPU time little.
    detail = f"{jobs.cpu_of_a_token:.0f} µs, bare {bare.cpu_of_a_token:.0f}, with vLLM's processes and Postgres"
    yield Ratio("CPU of its token", jobs.cpu_of_a_token / bare.cpu_of_a_token, "LLM.generate", detail=detail)


class _Drawn(NamedTuple):
    """What a round drew and cost, or the medians of rounds."""

    tokens: float
    tokens_a_second: float
    cpu_of_a_token: float  # µs


def _measured(jobs: "_Jobs") -> tuple[_Drawn, _Drawn]:
    """Medians; whatever grows or tires meets both alike, for each comes first in every other round."""
    jobs.drawn()  # loads the model
    jobs.bare()
    drawn, bare = list[_Drawn](), list[_Drawn]()
    turns = [(drawn, jobs.drawn), (bare, jobs.bare)]
    for number in range(ROUNDS):
        for kept, draw in turns if number % 2 else reversed(turns):
            gc.collect()  # what a round leaves is not the next one's to clear away
            kept.append(draw())
    jobs.close()
    return _medians(drawn), _medians(bare)


def _medians(rounds: list[_Drawn]) -> _Drawn:
    return _Drawn(*map(median, zip(*rounds, strict=True)))


def _timed(draw: Callable[[], object]) -> Callable[[int], _Drawn]:
    """Done now; what it was, once one knows how many tokens it drew."""
    began, cpu = perf_counter(), _cpu()
    draw()
    seconds, spent = perf_counter() - began, _cpu() - cpu
    return lambda tokens: _Drawn(tokens, tokens / seconds, 1e6 * spent / tokens)


def _cpu() -> float:
    """CPU seconds of this process and all that it has started: vLLM's engine and Postgres."""
    this, seconds = psutil.Process(), 0.0
    for each in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended, and counts with its parent
            seconds += sum(each.cpu_times()[:4])
    return seconds


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

    def drawn(self) -> _Drawn:
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
        timed = _timed(lambda: run(work))
        with self._sessions.begin() as session:
            service.finish(session, claimed.attempt)
            return timed(_tokens_of_the_latest(session))

    def bare(self) -> _Drawn:
        """Of requests like those of a job, given to vLLM at once."""
        from vllm import TokensPrompt

        kept: Any = self._shelf._kept
        engine = kept[1].engine  # of the jobs
        settings = SamplingSettings(n=N, max_tokens=MAX_TOKENS)
        requests = list(by_problem(self._prompts, uuid4(), settings))
        tokenizer = engine._llm.get_tokenizer()
        prompts = [TokensPrompt(prompt_token_ids=tokenizer.encode(each.prompt)) for each in requests]
        params = [engine.params(each, settings) for each in requests]
        outputs = list[Any]()
        timed = _timed(lambda: outputs.extend(engine._llm.generate(prompts, params, use_tqdm=False)))
        return timed(sum(len(each.outputs[0].token_ids) for each in outputs))

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
    """A model of characters, with random weights but for its end, which comes as late as that of an answer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tests.workers.sampling.tiny import EOS, save_tiny_model

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
    model: Any = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] += 1
        model.lm_head.weight[EOS, 0] = RARE_END
    model.save_pretrained(folder)
    return folder
