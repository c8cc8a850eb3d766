"""What the reference makes of this repository's docstrings before it reads them: sections apart, and lists as lists."""

import re
from typing import Any

from griffe import Extension, Object

SECTION = re.compile(r"\n+(?=(?:Args|Attributes|Returns|Yields|Raises):\n)")
ENTRY = re.compile(r"^\w+(?:, \w+)*: ")


class PlainForm(Extension):
    """Docstrings in the form that the parser knows as Google's: it wants an empty line before each section."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrites the docstring of an object, if it has one."""
        if obj.docstring is not None:
            apart = SECTION.sub("\n\n", obj.docstring.value)
            obj.docstring.value = "\n\n".join(map(_with_lists, apart.split("\n\n")))


def _with_lists(paragraph: str) -> str:
    """The paragraph, as a list where its lines, or those after its first, begin with `name: ` or go on with such a one.

    An attribute is described so in many a class; a section of the parser's own is left as it is.
    """
    if SECTION.match(f"\n{paragraph}"):
        return paragraph
    first, _, rest = paragraph.partition("\n")
    head, entries = ([], paragraph) if ENTRY.match(first) else ([first, ""], _outdented(rest))
    lines = entries.split("\n")
    if not ENTRY.match(lines[0]) or not all(ENTRY.match(line) or line.startswith(" ") for line in lines):
        return paragraph
    return "\n".join(head + [ENTRY.sub(_marked, line) for line in lines])


def _marked(name: re.Match[str]) -> str:
    return f"* `{name[0][:-2]}`: "


def _outdented(text: str) -> str:
    return re.sub("^  ", "", text, flags=re.MULTILINE)
