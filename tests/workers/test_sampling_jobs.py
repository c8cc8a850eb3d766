"""Sampling jobs by a real worker: a tiny model is sampled, its completions judged, and the curve fills in."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("transformers", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.app.conftest import serving
from tests.conftest import fresh_database
from tests.workers.sampling.tiny import save_tiny_model
from tests.workers.sampling_jobs import log_of, sampler, spec
from tests.workers.working import ended, submit


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("models").resolve() / "tiny"))


@pytest.fixture(scope="module")
def sampling(
    postgres_url: URL, migrated_template: str, model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a server with a worker that samples beside it."""
    folder, roots = tmp_path_factory.mktemp("data"), str(Path(model).parent)
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_database(postgres_url, template=migrated_template) as database_url,
    ):
        patch.setenv("PKPO_MODEL_ROOTS", roots)
        with (
            serving(database_url, data_dir=folder) as url,
            sampler(database_url, folder, log=folder / "worker.log"),
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            yield client
        print((folder / "worker.log").read_text())


def test_completions_are_drawn_judged_and_their_curve_is_there(sampling: httpx.Client, model: str) -> None:
    path = submit(sampling, "sampling", spec(sampling, "drawn", model, verifiers=["exact-match"]))
    done = ended(sampling, path, 90)
    assert (done["state"], done["progress"]["done"], done["progress"]["total"]) == ("succeeded", 16, 16), done
    print(log_of(sampling, path))
