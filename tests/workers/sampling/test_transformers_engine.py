"""The engine that others are checked against, on a small model made by the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("transformers", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch

from app.jobs.options.model_files import has_no_chat_template, positions
from tests.workers.sampling.tiny import CONTEXT, EOS, ids, logprob_of, save_tiny_model
from workers.sampling import Engine, Request, Sample, SamplingRefused, SamplingSettings, sampling_engine
from workers.sampling.transformers_engine import draw, stops_at

torch.set_num_threads(1)
SETTINGS = SamplingSettings(max_tokens=12)
REQUESTS = [
    Request(f"{a}+{b}", f"{a}+{b}=", index, 1000 * a + 10 * b + index)
    for a, b in ((1, 2), (3, 4))
    for index in range(6)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    with sampling_engine("transformers", str(folder), {}, [folder.parent.resolve()]) as engine:
        yield engine


@pytest.fixture(scope="module")
def samples(engine: Engine) -> list[Sample]:
    return list(engine.sample(REQUESTS, SETTINGS))


def test_a_completion_depends_on_its_seed_and_not_on_its_batch(engine: Engine, samples: list[Sample]) -> None:
    assert list(engine.sample(REQUESTS[::-1], SETTINGS)) == samples[::-1]
    assert list(engine.sample([REQUESTS[5]], SETTINGS)) == [samples[5]]


def test_seeds_make_the_completions_of_a_problem_differ(samples: list[Sample]) -> None:
    assert len({sample.text for sample in samples[:6]}) >= 5


def test_the_log_probability_is_that_of_one_forward_pass(folder: Path, samples: list[Sample]) -> None:
    for request, sample in zip(REQUESTS, samples, strict=True):
        drawn = ids(sample.text) + [EOS] * (sample.finish_reason == "stop")
        assert sample.completion_tokens == len(drawn)
        assert sample.logprob == pytest.approx(logprob_of(folder, ids(request.prompt), drawn), abs=1e-4)


def test_the_log_probability_is_of_the_model_whatever_the_temperature(folder: Path, engine: Engine) -> None:
    [sample] = engine.sample(REQUESTS[:1], SamplingSettings(max_tokens=8, temperature=0.5, top_k=3, top_p=0.9))
    drawn = ids(sample.text) + [EOS] * (sample.finish_reason == "stop")
    assert sample.logprob == pytest.approx(logprob_of(folder, ids(REQUESTS[0].prompt), drawn), abs=1e-4)


def test_a_completion_says_why_it_ended(samples: list[Sample]) -> None:
    assert {sample.finish_reason for sample in samples} == {"stop", "length"}
    for sample in samples:
        assert (sample.finish_reason == "length") == (len(sample.text) == SETTINGS.max_tokens)
        assert sample.prompt_tokens == 4


def test_a_stop_string_ends_the_text_before_it(engine: Engine, samples: list[Sample]) -> None:
    position, whole = next((i, each) for i, each in enumerate(samples) if len(each.text) >= 8)
    stop = whole.text[4:6]
    [sample] = engine.sample([REQUESTS[position]], SamplingSettings(max_tokens=12, stop=("no", stop)))
    assert sample.text == whole.text[: whole.text.index(stop)]
    assert sample.finish_reason == "stop"
    assert sample.completion_tokens == len(sample.text) + len(stop)


def test_the_first_of_several_stop_strings_counts() -> None:
    assert stops_at("12+3=", ("=", "+3")) == 2
    assert stops_at("12+3=", ("4",)) is None


def test_without_temperature_the_likeliest_tokens_are_taken(engine: Engine) -> None:
    greedy = SamplingSettings(max_tokens=12, temperature=0)
    first, second = engine.sample(REQUESTS[:2], greedy)
    assert first.text == second.text
    [narrow] = engine.sample(REQUESTS[:1], SamplingSettings(max_tokens=12, top_k=1))
    assert narrow.text == first.text


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    generator = torch.Generator().manual_seed(0)

    def shares(**settings: float) -> list[float]:
        drawn = [draw(logits, SamplingSettings.model_validate(settings), generator) for _ in range(4000)]
        return [drawn.count(token) / 4000 for token in range(4)]

    # 4,000 draws: three standard errors are at most 0.024
    assert shares() == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.024)
    assert shares(top_k=2) == pytest.approx([4 / 7, 3 / 7, 0, 0], abs=0.024)
    assert shares(top_p=0.75) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0], abs=0.024)
    assert shares(temperature=0.5) == pytest.approx([16 / 30, 9 / 30, 4 / 30, 1 / 30], abs=0.024)
    # top-p is of what top-k left: 0.4 of 0.7 is less than 0.6, and 0.4 of 1 is less too, but not than 0.57
    assert shares(top_k=2, top_p=0.57) == pytest.approx([1, 0, 0, 0], abs=0)


def test_a_chat_is_put_as_the_template_says(engine: Engine) -> None:
    [as_chat] = engine.sample([Request("p", "1", 0, 5)], SamplingSettings(max_tokens=8, prompt="chat"))
    [as_raw] = engine.sample([Request("p", "=1+", 0, 5)], SamplingSettings(max_tokens=8))
    assert as_chat == as_raw


def test_a_chat_without_a_template_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny", chat=False)
    with (
        sampling_engine("transformers", str(folder), {}, [tmp_path.resolve()]) as engine,
        pytest.raises(SamplingRefused, match="no chat template"),
    ):
        list(engine.sample(REQUESTS, SamplingSettings(prompt="chat", max_tokens=8)))


def test_a_prompt_without_room_is_refused_by_its_problem(engine: Engine) -> None:
    fits = Request("fits", "1" * (CONTEXT - 2), 0, 0)
    [sample] = engine.sample([fits], SamplingSettings(max_tokens=2, temperature=0))
    assert sample.prompt_tokens == CONTEXT - 2
    with pytest.raises(SamplingRefused, match=r"'long': its prompt of 62 tokens and max_tokens 3 .* the 64 tokens"):
        list(engine.sample([Request("long", fits.prompt, 0, 0)], SamplingSettings(max_tokens=3)))
    with pytest.raises(SamplingRefused, match="'empty': its prompt has no tokens"):
        list(engine.sample([Request("empty", "", 0, 0)], SETTINGS))


def test_the_files_of_a_model_say_what_it_says_once_loaded(tmp_path: Path) -> None:
    for chat in (True, False):
        folder = save_tiny_model(tmp_path / f"chat-{chat}", chat=chat, context=48)
        assert has_no_chat_template(folder) is not chat
        assert positions(folder) == 48
