"""Draws docs/images/evaluation.png, the picture in README: `.venv/bin/python docs/images/make.py FILE`.

FILE is sample_scored_codellama-7b_temp0.2_output.json from the samples of github.com/facebookresearch/cruxeval (MIT):
CodeLlama 7B predicting the outputs of 800 programs, ten times each. A server is started for it, on a data folder that
is removed at the end.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PKPO = (sys.executable, "-m", "pkpo")
SIZE = ViewportSize(width=1280, height=1016)


@contextmanager
def server() -> Iterator[str]:
    """The address of a server without any run."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pkpo-images-") as folder:
        environment = os.environ | {"PKPO_DATA_DIR": folder, "PKPO_PORT": str(port)}
        with subprocess.Popen(
            [*PKPO, "serve"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                next(line for line in process.stdout if f":{port}" in line)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def main() -> None:
    """Import the file, open the page that the import names, and take its picture."""
    with server() as url, sync_playwright() as playwright:
        command = [*PKPO, "import", sys.argv[1], "--run", "codellama-7b", "--url", url, "--n", "10"]
        sampling = ["--sampling", '{"temperature": 0.2}', "--model", "codellama/CodeLlama-7b-hf"]
        sent = subprocess.run([*command, *sampling], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(sent.stdout.split()[-1], wait_until="networkidle")
        page.screenshot(path=Path(__file__).with_name("evaluation.png"))
        browser.close()


if __name__ == "__main__":
    main()
