"""The example of docs/sampling.md runs as it stands there, and its tables name what there is."""

import subprocess
import sys
from pathlib import Path

from app.jobs.options.engines import OpenAIOptions, TransformersOptions, VllmOptions
from tests.documents import ROOT, examples
from workers.sampling import SamplingSettings


def test_the_example_of_sampling(tmp_path: Path) -> None:
    [example] = examples("docs/sampling.md")
    command = [sys.executable, "-c", example.code]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    example.assert_shown(done.stdout)


def test_every_setting_and_option_is_documented() -> None:
    document = (ROOT / "docs/sampling.md").read_text()
    for kind in (SamplingSettings, OpenAIOptions, VllmOptions, TransformersOptions):
        for name in kind.model_fields:
            assert f"`{name}`" in document, name
