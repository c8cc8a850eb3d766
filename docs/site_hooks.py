"""What the site needs beside MkDocs: the list of pages, formulas as MathML, and the files that pages point to."""

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n)+)", re.MULTILINE)  # of docs/README.md
PAGE = re.compile(r"\[([^\]]+)\]\(([\w/-]+\.md)\)")
OUTSIDE = re.compile(r"\]\(\.\./([\w/-]+\.py)\)")  # a link from a page of docs/ to a program beside it


def on_config(config: Any) -> Any:
    """With the pages in the sections and in the order of docs/README.md."""
    index = Path(config.docs_dir, "README.md").read_text()
    sections = [
        {name: [{title: page} for title, page in PAGE.findall(lines)]} for name, lines in SECTION.findall(index)
    ]
    config.nav = [{"Start": "README.md"}, *sections]
    return config


def on_files(files: Files, config: Any) -> Files:
    """With the programs that pages point to, so that the site has them too."""
    pages = [file.content_string for file in files.documentation_pages() if "/" not in file.src_uri]
    for path in sorted({path for page in pages for path in OUTSIDE.findall(page)}):
        if (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """With links to those programs where the site has them."""
    return markdown if "/" in page.file.src_uri else OUTSIDE.sub(r"](\1)", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """With formulas as MathML, which browsers draw by themselves."""
    return FORMULA.sub(_as_mathml, content)


def _as_mathml(formula: re.Match[str]) -> str:
    display = "inline" if formula[2] == "(" else "block"
    return convert(html.unescape(formula[3]), display=display)
