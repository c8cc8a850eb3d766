"""Who may import whom, as the folders promise it, and the sizes that keep files readable."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from sys import stdlib_module_names

import pytest

import pkpo

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
OURS = {"pkpo", "app", "workers", "dashboards", "migrations"}
HEAVY = {"torch", "vllm", "trl", "verl", "transformers"}
WORKERS_MAY_USE = {"app.config", "app.db", "app.models", "app.errors", "app.ingest", "app.imports", "app.jobs"}
WORKERS_MAY_USE |= {"app.problem_sets", "app.training"}


def tracked_folders() -> set[str]:
    """Those at the root that git knows of, but for hidden ones; none where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return {path.parts[0] for path in paths if len(path.parts) > 1 and not path.parts[0].startswith(".")}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path}: a relative import hides where it leads")


def breaches(folder: str, allowed: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if name.split(".")[0] in OURS - allowed - {folder}
    ]


def test_the_library_imports_nothing_of_ours() -> None:
    assert modules("pkpo")
    assert breaches("pkpo", set()) == []


def test_a_folder_imports_what_the_table_of_contributing_says() -> None:
    """By the names in the last column; where only parts of `app` may be imported, a test below says which."""
    rows = re.findall(r"^\| `(\w+)/` \|.*\| (.*) \|$", CONTRIBUTING, re.MULTILINE)
    assert {folder for folder, _ in rows} >= OURS | tracked_folders()
    for folder, may in rows:
        assert (ROOT / folder).is_dir()
        named, _, but = may.partition(" but ")
        allowed = OURS if named == "everything" else {each.split(".")[0] for each in re.findall(r"`([\w.]+)`", named)}
        found = breaches(folder, allowed - set(re.findall(r"`(\w+)`", but)))
        assert found == [], f"CONTRIBUTING.md: {folder}/ may import {may}"


def test_every_module_of_the_library_is_public_or_not_in_contributing() -> None:
    rows = re.findall(r"^\| (public.*|commands|internal) \| (.*) \|$", CONTRIBUTING, re.MULTILINE)
    listed = {kind: re.findall(r"`(\w+)/?`", re.sub(r"\([^)]*\)", "", names)) for kind, names in rows}
    there = {path.stem for path in (ROOT / "pkpo").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(chain.from_iterable(listed.values())) == sorted(each for each in there if not each.startswith("__"))
    in_itself, under_its_name, *_ = listed.values()
    assert set(in_itself) == set(pkpo._MODULES)
    assert set(under_its_name) >= set(pkpo._APART)


def test_the_service_draws_only_from_its_pages() -> None:
    assert modules("app")
    assert modules("app/pages")
    assert breaches("app/pages", {"app", "pkpo", "dashboards"}) == []
    assert [line for line in breaches("app", {"pkpo"}) if not line.startswith("app/pages/")] == []


def test_migrations_import_tables_and_settings_only() -> None:
    assert modules("migrations")
    allowed = ("app.models", "app.config", "app.db")
    for path in modules("migrations"):
        for name in imports(path):
            assert name.split(".")[0] not in OURS or name.startswith(allowed), f"{path} imports {name}"


def test_workers_call_services_never_routes() -> None:
    for path in modules("workers"):
        for name in imports(path):
            if name.split(".")[0] == "app":
                assert any(name.startswith(part) for part in WORKERS_MAY_USE), f"{path} imports {name}"
                assert "routes" not in name, f"{path} imports {name}"


def test_no_two_parts_of_the_service_need_each_other() -> None:
    """A part is a folder of `app`, or a module beside them."""
    needs: dict[str, set[str]] = defaultdict(set)
    for path in modules("app"):
        part = path.relative_to(ROOT / "app").parts[0].removesuffix(".py")
        found = (name.split(".") for name in imports(path))
        needs[part] |= {other for top, other, *_ in (name for name in found if len(name) > 1) if top == "app"} - {part}
    assert needs["estimates"] >= {"ingest", "paging"}
    TopologicalSorter(needs).prepare()  # CycleError names the parts


@pytest.mark.parametrize("folder", ["app", "dashboards", "migrations"])
def test_the_service_needs_no_torch(folder: str) -> None:
    for path in modules(folder):
        for name in imports(path):
            assert name.split(".")[0] not in HEAVY, f"{path} imports {name}"


def test_the_library_at_import_needs_numpy_only() -> None:
    own = {"numpy", "pkpo"} | stdlib_module_names
    later = {"pkpo/plot.py", "pkpo/readers/parquet.py", "pkpo/problems/hub.py", "pkpo/problems/procedural.py"}
    for path in modules("pkpo"):
        relative = str(path.relative_to(ROOT))
        if relative in later or relative.startswith(("pkpo/client/", "pkpo/integrations/", "pkpo/torch/")):
            continue
        for name in imports(path):
            assert name.split(".")[0] in own, f"{relative} imports {name}"


def test_files_stay_readable() -> None:
    for folder in OURS | {"tests"}:
        for path in modules(folder):
            if "versions" not in path.parts:
                assert len(path.read_text().splitlines()) <= 400, f"{path.relative_to(ROOT)} is over 400 lines"
