"""docs/jobs.md: every example does what it shows, with a worker that the first one starts."""

from pathlib import Path

import httpx
import pytest

from tests.documents import ROOT, checkout, examples, run
from workers.capabilities import capabilities

PAGE = "docs/jobs.md"
END = "end of a block"


def test_the_guide_names_what_a_worker_here_offers() -> None:
    table = (ROOT / PAGE).read_text().partition("| queue | capability |")[2].partition("\n\n")[0]
    offered = capabilities()
    assert {"import", "verify"} <= set(offered)
    assert not [capability for capability in offered if f"`{capability}`" not in table]


def test_every_example_of_the_guide_does_what_it_shows(
    tmp_path: Path, client: httpx.Client, database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKPO_DATABASE_URL", database_url)
    monkeypatch.setenv("PKPO_DATA_DIR", str(data_dir))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # stands for the checkout as current folder
    tour = list(examples(PAGE))
    assert len(tour) >= 5
    script = "trap 'kill $(jobs -p)' EXIT\n" + "".join(f"{each.code}printf '\\n{END}\\n'\n" for each in tour)
    address = str(client.base_url).rstrip("/")
    printed = run(["bash", "-uo", "pipefail", "-c"], script, checkout(tmp_path), address).split(f"\n{END}\n")
    for example, output in zip(tour, printed[:-1], strict=True):
        example.assert_shown(output)
