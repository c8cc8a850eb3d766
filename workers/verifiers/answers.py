"""Where in a completion its answer stands: one rule per way of marking it, none that guesses between several."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction

from app.jobs.options.verifiers import Extraction

# Bounded, so that no number takes long to read: 60 digits and an exponent below 1000 are beyond any answer key.
NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,60})?(?:\.\d{1,60}|(?<=\d))(?:[eE][-+]?\d{1,3})?(?:/\d{1,60})?(?!\w)"
)
FENCE = re.compile(r"^[ ]{0,3}(```+|~~~+)[^\n`]*\n(.*?)(?:^[ ]{0,3}\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\[{}\\]|[{}]")  # an escaped one is of the answer


def extracted(completion: str, ways: Sequence[Extraction]) -> str | None:
    r"""The answer by the first of the ways that finds one, without white space around it; None where none does.

    boxed: inside the last `\boxed{…}` whose braces close. hashes: the rest of the line after the last `####`, as in
    GSM8K.
    tag: inside the last `<answer>…</answer>`. last_number: the last number, as written. last_line: the last line
    that is not blank.
    fence: the last block between ``` fences, which the end of the text may close. text: all of it.
    """
    for way in ways:
        found = _FINDERS[way](completion)
        if found is not None and found.strip():
            return found.strip()
    return None


def _boxed(text: str) -> str | None:
    """One walk over all braces: a text of nothing but openings must not take time by its square."""
    boxes = {match.end() for match in BOX.finditer(text)}
    opened: list[int] = []
    last: tuple[int, int] | None = None
    for brace in BRACE.finditer(text):
        if brace.group() == "{":
            opened.append(brace.end())
        elif brace.group() == "}" and opened:
            start = opened.pop()
            if start in boxes and (last is None or start > last[0]):
                last = start, brace.start()
    return text[slice(*last)] if last else None


def _hashes(text: str) -> str | None:
    _, mark, rest = text.rpartition("####")
    return rest.lstrip().split("\n", 1)[0] if mark else None


def _last(pattern: re.Pattern[str], text: str, group: int) -> str | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0].group(group) if found else None


def _last_line(text: str) -> str | None:
    lines = text.strip().splitlines()
    return lines[-1] if lines else None


_FINDERS: dict[Extraction, Callable[[str], str | None]] = {
    "boxed": _boxed,
    "hashes": _hashes,
    "tag": lambda text: _last(TAG, text, 1),
    "last_number": lambda text: _last(NUMBER, text, 0),
    "last_line": _last_line,
    "fence": lambda text: _last(FENCE, text, 2),
    "text": lambda text: text,
}


def number(text: str) -> Fraction | None:
    """The number that a text is, exactly: `1,234`, `$18`, `-3.5`, `1e-3`, `3/4`, `50%`, with or without a full stop;
    else None.
    """
    bare = text.strip().rstrip(".").strip().removeprefix("\\$").removeprefix("$").strip()
    percent = bare.endswith("%")
    bare = bare.removesuffix("%").removesuffix("\\").strip()
    if not NUMBER.fullmatch(bare):
        return None
    numerator, _, denominator = bare.replace(",", "").partition("/")
    if denominator and int(denominator) == 0:
        return None
    return Fraction(numerator) / int(denominator or 1) / (100 if percent else 1)
