"""Which models are loaded, and the sentence for each that is not; without torch."""

import json
import subprocess
from pathlib import Path

import pytest

from app.jobs.options.engines import TransformersOptions
from app.jobs.options.models import check_files
from workers.sampling import ModelRefused, SamplingFailed, allowed_roots, resolved_model
from workers.sampling.models import model_sha256


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "models"
    root.mkdir()
    return root


def saved(folder: Path, **files: str) -> Path:
    """A folder with the files of a model; their names with __ for the dot."""
    folder.mkdir()
    for name, content in ({"config__json": "{}", "model__safetensors": "w", "tokenizer__json": "{}"} | files).items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def test_a_folder_under_a_root_is_a_model(root: Path) -> None:
    folder = saved(root / "tiny", optimizer__pt="state of a training", training_args__bin="and its arguments")
    model = resolved_model(f"{root}/../models/tiny", [root])
    assert (model.folder, model.revision) == (folder, None)
    assert model.sha256 == model_sha256(folder)


def test_the_hash_is_that_of_sha256sum(root: Path) -> None:
    folder = saved(root / "tiny", training_args__bin="x", notes__md="x")
    command = "LC_ALL=C sha256sum config.json model.safetensors tokenizer.json | sha256sum"
    expected = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert model_sha256(folder) == expected.split()[0]
    (folder / "notes.md").write_text("y")
    assert model_sha256(folder) == expected.split()[0]
    (folder / "chat_template.jinja").write_text("y")
    assert model_sha256(folder) != expected.split()[0]


def test_roots_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    monkeypatch.setenv("PKPO_MODEL_ROOTS", f"{root.parent / 'link'}::/srv/none")
    assert allowed_roots() == [root, Path("/srv/none")]
    monkeypatch.delenv("PKPO_MODEL_ROOTS")
    assert allowed_roots() == []
    with pytest.raises(ValueError, match="PKPO_MODEL_ROOTS: models is not an absolute path"):
        allowed_roots("models")


def test_nothing_outside_the_roots_is_looked_at(root: Path) -> None:
    outside = saved(root.parent / "models-other")
    (root / "link").symlink_to(outside)
    names = [outside, root / ".." / "models-other", root / "link", root.parent, Path("/nowhere")]
    for name in map(str, names):
        with pytest.raises(ModelRefused, match="is not in a folder that models may be in; PKPO_MODEL_ROOTS lists them"):
            resolved_model(name, [root])


def test_a_file_that_leads_out_is_refused(root: Path) -> None:
    folder = saved(root / "tiny")
    (root.parent / "secret").write_text("w")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(root.parent / "secret")
    with pytest.raises(ModelRefused, match=r"model\.safetensors is a link that leads out"):
        resolved_model(str(folder), [root])
    (folder / "model.safetensors").unlink()
    (root / "shared.safetensors").write_text("w")
    (folder / "model.safetensors").symlink_to(root / "shared.safetensors")
    assert resolved_model(str(folder), [root]).folder == folder


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "./tiny",
        "../tiny",
        "a/b/c",
        "a/../b",
        "a--b",
        "~/tiny",
        "C:\\tiny",
        "a/b@",
        "a/b@../c",
        "a b",
        "a/b\n",
    ],
)
def test_what_is_neither_a_hub_name_nor_a_path_is_refused(name: str, root: Path) -> None:
    with pytest.raises(ModelRefused, match="is neither a hub name"):
        resolved_model(name, [root])


def test_paths_that_lead_nowhere_are_refused(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(ModelRefused, match="is not a path that can be followed"):
        resolved_model(str(root / "loop"), [root])
    with pytest.raises(ModelRefused, match="is not a path that can be followed"):
        resolved_model(f"{root}/a\0b", [root])
    with pytest.raises(ModelRefused, match="is not a folder on this machine"):
        resolved_model(str(root / "absent"), [root])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["config.json", "pytorch_model.bin"], r"m has its weights in pytorch_model\.bin only\. Loading a pickle runs"),
        (["config.json", "a.pt", "b.ckpt", "c.pth"], r"its weights in a\.pt, b\.ckpt, c\.pth only"),
        (["config.json", "tokenizer.json"], r"has no \.safetensors file"),
        (["model.safetensors"], r"has no config\.json"),
        (["adapter_config.json", "adapter_model.safetensors", "config.json"], "is an adapter"),
    ],
)
def test_files_that_are_no_model_are_named(files: list[str], said: str) -> None:
    with pytest.raises(ModelRefused, match=said):
        check_files("m", files)
    check_files("m", ["config.json", "model.safetensors", "pytorch_model.bin"])


@pytest.mark.parametrize("file", ["pytorch_model.bin", "../other.safetensors", "absent.safetensors", 3])
def test_an_index_that_leads_elsewhere_is_refused(file: object, root: Path) -> None:
    index = json.dumps({"weight_map": {"w": "model.safetensors", "v": file}})
    (root / "other.safetensors").write_text("w")
    folder = saved(root / "tiny", model__safetensors__index__json=index, pytorch_model__bin="x")
    with pytest.raises(
        ModelRefused, match=r"model\.safetensors\.index\.json names .* which is not a \.safetensors file"
    ):
        resolved_model(str(folder), [root])


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("[]", "is not an object")])
def test_a_broken_config_is_named(content: str, said: str, root: Path) -> None:
    folder = saved(root / "tiny", config__json=content)
    with pytest.raises(ModelRefused, match=rf"config\.json {said}"):
        resolved_model(str(folder), [root])


@pytest.mark.parametrize("how", ["told to be offline", "no network"])
def test_without_the_hub_it_says_so(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    import huggingface_hub.constants

    if how == "no network":
        closed = "http://127.0.0.1:9"
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, "")
            monkeypatch.setenv(variable.upper(), "")
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", closed)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", closed)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", how != "no network")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        SamplingFailed, match=r"owner/tiny@main is not in this machine's cache .* `hf download owner/tiny"
    ):
        resolved_model("owner/tiny@main", [root])


def test_a_model_that_needs_code_of_its_own_is_refused(root: Path) -> None:
    pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
    pytest.importorskip("transformers", reason="NOT TESTED: requirements/install.sh trl was not run")
    from workers.sampling.transformers_engine import TransformersEngine

    ran = root / "ran"
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    folder = saved(root / "own", config__json=json.dumps(own), own__py=f"open({str(ran)!r}, 'w')")
    with pytest.raises(ModelRefused, match="own needs code of its own, which is never run"):
        TransformersEngine(resolved_model(str(folder), [root]), TransformersOptions())
    assert not ran.exists()
