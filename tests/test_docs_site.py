"""The site that `make docs` builds: whole, strict about links and references, and without anything from elsewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pkpo

ROOT = Path(__file__).resolve().parents[1]
APART = (*pkpo._APART, "client", "torch", "torch.offpolicy")
INTEGRATIONS = sorted(path.stem for path in (ROOT / "pkpo/integrations").glob("[!_]*.py"))


def built(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mkdocs", reason="the site is NOT tested here: requirements/install.sh docs was not run")
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(config), "--site-dir", str(site)]
    return subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


class Fetched(HTMLParser):
    """The addresses of what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") != "canonical":
            self.addresses.append(given.get("href") or "")


def fetched(site: Path) -> Iterator[tuple[Path, str]]:
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its addresses begin at the root of a server
            continue
        found = Fetched()
        found.feed(page.read_text())
        yield from ((page, address.partition("?")[0]) for address in found.addresses if address)
    for sheet in site.rglob("*.css"):
        yield from ((sheet, address.strip("\"'")) for address in re.findall(r"url\(([^)]*)\)", sheet.read_text()))


def test_a_page_fetches_nothing_but_files_of_the_site(site: Path) -> None:
    addresses = [each for each in fetched(site) if not each[1].startswith("data:")]
    assert len(addresses) > 20
    outside = {(page.name, address) for page, address in addresses if re.match(r"[a-z]+:|//", address)}
    assert not outside
    absent = {(page.name, address) for page, address in addresses if not (page.parent / address).exists()}
    assert not absent


def test_every_public_name_is_in_the_reference() -> None:
    reference = "".join(path.read_text() for path in (ROOT / "docs/api").glob("*.md")) + "\n"
    names = [*pkpo.__all__, *APART, *(f"integrations.{name}" for name in INTEGRATIONS)]
    missing = [name for name in names if f"::: pkpo.{name}\n" not in reference]
    assert not missing, f"to be added to docs/api/: {', '.join(f'::: pkpo.{name}' for name in missing)}"


def test_the_figures_of_the_paper_are_those_of_plotly(site: Path) -> None:
    page = (site / "figures.html").read_text()
    for name in ("figure-1", "figure-2", "figure-4", "figure-5"):
        assert f'src="images/{name}.html"' in page
        assert "Plotly.newPlot(" in (site / f"images/{name}.html").read_text()


def test_docstrings_are_drawn_as_lists(site: Path) -> None:
    pages = {path.stem: path.read_text() for path in (site / "api").glob("*.html")}
    assert 'id="pkpo.pass_at_k"' in pages["evaluation"]
    for section in ("Raises:", "Returns:"):
        drawn = f'<span class="doc-section-title">{section}</span>'
        assert all(page.count(section) == page.count(drawn) for page in pages.values())
        assert pages["evaluation"].count(drawn) > 5
    assert re.search(r"<ul>\s*<li><code>k</code>: attempts that the objective allows", pages["integrations"])


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    page = (site / "mathematics.html").read_text()
    assert page.count("<math ") >= 2
    assert "arithmatex" not in page


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("[a](absent.md) [b](#absent) [c](../absent.py)", ("'absent.md'", "'#absent'", "'../absent.py'")),
        ("::: pkpo.absent", ("pkpo.absent could not be found",)),
    ],
)
def test_what_leads_nowhere_fails_the_build(text: str, warnings: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/README.md").write_text(f"# One\n\n{text}\n")
    apart = ["hooks: []", "extra_css: []", "plugins: [autorefs, mkdocstrings]"]
    (tmp_path / "mkdocs.yml").write_text("\n".join([f"INHERIT: {ROOT}/mkdocs.yml", *apart]))
    done = built(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert all(any(warning in line for line in said) for warning in warnings), done.stderr
