"""What the site needs beside MkDocs: the list of pages, formulas as MathML, figures, the files that pages point to."""

import html
import json
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files
from plotly.io import from_json
from plotly.offline import get_plotlyjs

ROOT = Path(__file__).parents[1]
FIGURES = sorted((ROOT / "docs/images").glob("*.json"))  # as examples/figures.py keeps them
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n)+)", re.MULTILINE)  # of docs/README.md
PAGE = re.compile(r"\[([^\]]+)\]\(([\w/-]+\.md)\)")
PICTURE = re.compile(r'<img alt="([^"]*)" src="images/([\w-]+)\.png" />')
OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+\.(?:py|json))\)")  # from a page of docs/ to a program or a spec beside it


def on_config(config: Any) -> Any:
    """With the pages in the sections and in the order of docs/README.md."""
    index = Path(config.docs_dir, "README.md").read_text()
    sections = [
        {name: [{title: page} for title, page in PAGE.findall(lines)]} for name, lines in SECTION.findall(index)
    ]
    config.nav = [{"Start": "README.md"}, *sections]
    return config


def on_files(files: Files, config: Any) -> Files:
    """With the programs that pages point to, so that the site has them too, and a page of each figure of Plotly's."""
    pages = [file.content_string for file in files.documentation_pages() if "/" not in file.src_uri]
    for path in sorted({path for page in pages for path in OUTSIDE.findall(page)}):
        if (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "images/plotly.min.js", content=get_plotlyjs()))
    for path in FIGURES:
        figure = from_json(path.read_text()).update_layout(width=None)  # as wide as the page
        page = figure.to_html(include_plotlyjs="directory", config={"responsive": True})
        files.append(File.generated(config, f"images/{path.stem}.html", content=page))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """With links to those programs where the site has them."""
    return markdown if "/" in page.file.src_uri else OUTSIDE.sub(r"](\1)", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """With formulas as MathML, which browsers draw by themselves, and Plotly's figures for their pictures."""
    return PICTURE.sub(_as_figure, FORMULA.sub(_as_mathml, content))


def _as_figure(picture: re.Match[str]) -> str:
    file = ROOT / f"docs/images/{picture[2]}.json"
    if file not in FIGURES:
        return picture[0]
    height = json.loads(file.read_text())["layout"]["height"] + 20
    return f'<iframe title="{picture[1]}" src="images/{picture[2]}.html" height="{height}" loading="lazy"></iframe>'


def _as_mathml(formula: re.Match[str]) -> str:
    display = "inline" if formula[2] == "(" else "block"
    return convert(html.unescape(formula[3]), display=display)
