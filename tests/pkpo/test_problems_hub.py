"""Problems of a dataset of the hub: the library's real loading code, on datasets that the test has saved."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"question": f"What is {i} + 1?", "answer": f"{i} + 1 = <<{i}+1={i + 1}>>{i + 1}\n#### {i + 1}"} for i in range(3)
]
# Its caches belong into the test's folder, and it settles where they are when it is imported.
PROGRAM = """
import json, sys
from pkpo.problems import ProblemsError, from_hub
for options in json.loads(sys.argv[1]):
    try:
        print(json.dumps([each.sent() for each in from_hub(**options).problems]))
    except ProblemsError as error:
        print(json.dumps(str(error)))
"""
SAVE = """
import json, sys
from datasets import Dataset, DatasetDict
rows = Dataset.from_list(json.loads(sys.argv[1]))
rows.to_parquet("downloaded/main/train-00000-of-00001.parquet")
rows.select([0]).to_parquet("downloaded/main/test-00000-of-00001.parquet")
DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk("saved")
"""


def run(folder: Path, program: str, argument: Any, *options: str, hub: str | None = None) -> str:
    """What a program prints, with its caches and its relative paths in the folder; without a hub it is offline."""
    where = {"HF_HUB_OFFLINE": "1"} if hub is None else {"HF_ENDPOINT": hub}
    environment = {**os.environ, **where, "HF_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *options, "-c", program, json.dumps(argument)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dataset as `hf download` leaves it, and as `save_to_disk` does."""
    pytest.importorskip("datasets", reason="HUB NOT TESTED: requirements/install.sh workers was not run")
    folder = tmp_path_factory.mktemp("hub")
    (folder / "downloaded/main").mkdir(parents=True)
    run(folder, SAVE, ROWS)
    return folder


def loaded(folder: Path, *options: dict[str, Any], installed: bool = True, hub: str | None = None) -> list[Any]:
    """The problems by each of the options, or the sentence that says why there are none."""
    return [
        json.loads(line) for line in run(folder, PROGRAM, options, *[] if installed else ["-S"], hub=hub).splitlines()
    ]


def test_a_copy_of_a_dataset_is_read_as_files_are(folder: Path) -> None:
    problems, saved = loaded(folder, *({"name": name, "split": "train"} for name in ("downloaded", "saved")))
    assert saved == problems
    assert [each["prompt"] for each in problems] == [each["question"] for each in ROWS]
    assert [each["answer"] for each in problems] == ["1", "2", "3"]
    assert problems[0]["metadata"] == {"form": "gsm8k@1", "solution": ROWS[0]["answer"]}


def test_the_fields_of_a_dataset_can_be_named(folder: Path) -> None:
    named = {"prompt": "question", "problem": "question"}
    ((problem,),) = loaded(folder, {"name": "saved", "split": "test", "named": named})
    assert problem == {"problem": "What is 0 + 1?", "prompt": "What is 0 + 1?", "answer": ROWS[0]["answer"]}


def test_a_split_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    either, saved, downloaded, subset, no_subset = loaded(
        folder,
        {"name": "downloaded"},
        {"name": "saved", "split": "dev"},
        {"name": "downloaded", "split": "dev"},
        {"name": "downloaded", "subset": "socratic", "split": "test"},
        {"name": "saved", "subset": "main", "split": "test"},
    )
    assert either == "downloaded has the splits train, test: say which with --hub-split"
    assert saved == "saved has the splits train, test: say which with --hub-split"
    assert downloaded.startswith('downloaded cannot be loaded: Unknown split "dev". Should be one of [')
    assert subset == "downloaded cannot be loaded: BuilderConfig 'socratic' not found. Available: ['default']"
    assert no_subset == "saved cannot be loaded: what save_to_disk wrote has no subsets; leave it out"


def test_without_a_network_it_says_how_to_bring_the_dataset(folder: Path) -> None:
    (told,) = loaded(folder, {"name": "openai/gsm8k", "revision": "e53f048", "subset": "main", "split": "test"})
    assert told.startswith("Couldn't reach 'openai/gsm8k' on the Hub")
    assert "`hf download openai/gsm8k --repo-type dataset --revision e53f048 --local-dir FOLDER`" in told


def test_without_the_library_it_says_what_to_install(folder: Path) -> None:
    (told,) = loaded(folder, {"name": "openai/gsm8k"}, installed=False)
    assert told == "Datasets of the hub need the library datasets: pip install datasets"


COMMITS = {"main": "a" * 40, "v1": "b" * 40}
DATASET = "openai/gsm8k"
FILE = "test-00000-of-00001.parquet"


class Hub(BaseHTTPRequestHandler):
    """What the hub answers for one dataset of one file, whose tag v1 has fewer rows than its branch main."""

    files: dict[str, bytes]  # by commit

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match path.removeprefix("/api").split("/")[1:]:
            case ["datasets", "openai", "gsm8k", "revision", revision] if revision in {*COMMITS, *self.files}:
                self.tell({"id": DATASET, "sha": COMMITS.get(revision, revision), "siblings": [{"rfilename": FILE}]})
            case ["datasets", "openai", "gsm8k", "tree", commit]:
                size = len(self.files[commit])
                self.tell([{"type": "file", "oid": commit, "size": size, "path": FILE}])
            case ["datasets", "openai", "gsm8k", "resolve", commit, *file] if file == [FILE]:
                self.tell(self.files[commit], {"ETag": f'"{commit}"', "X-Repo-Commit": commit})
            case ["datasets", "openai", "gsm8k", *_, revision] if "revision" in path:
                self.tell({"error": f"Invalid rev id: {revision}"}, {"X-Error-Code": "RevisionNotFound"}, 404)
            case ["datasets", "openai", "gsm8k", "resolve" | "tree", commit, *_]:
                self.tell(b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, 404)
            case _:
                self.tell(b"", {"X-Error-Code": "RepoNotFound"}, 404)

    do_HEAD = do_GET  # noqa: N815  the name that the standard library looks for

    def tell(self, answer: Any, headers: dict[str, str] | None = None, status: int = 200) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(folder: Path) -> Iterator[str]:
    """The address of a hub on this machine."""
    train, test = (
        (folder / f"downloaded/main/{part}-00000-of-00001.parquet").read_bytes() for part in ("train", "test")
    )
    Hub.files = {COMMITS["main"]: train, COMMITS["v1"]: test}
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_dataset_comes_from_the_hub_by_name_and_revision(folder: Path, hub: str) -> None:
    branch, tag, revision, dataset = loaded(
        folder,
        {"name": DATASET, "split": "test"},
        {"name": DATASET, "split": "test", "revision": "v1"},
        {"name": DATASET, "split": "test", "revision": "v2"},
        {"name": "openai/gsm9k", "split": "test"},
        hub=hub,
    )
    assert (len(branch), len(tag)) == (3, 1)
    source = {"name": DATASET, "revision": "main", "subset": None, "split": "test"}
    assert branch[0]["metadata"] == {"form": "gsm8k@1", "solution": ROWS[0]["answer"], "hub": source}
    assert tag[0]["metadata"]["hub"] == source | {"revision": "v1"}
    assert revision.startswith(f"{DATASET} cannot be loaded: Revision 'v2' doesn't exist for dataset '{DATASET}'")
    assert dataset.startswith("openai/gsm9k cannot be loaded: Dataset 'openai/gsm9k' doesn't exist on the Hub")
