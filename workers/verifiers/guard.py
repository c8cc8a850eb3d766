"""Libraries that score answers evaluate them: `sympy.parse_expr` and `eval` run whatever Python an answer contains.

`disarm` replaces both, in this process, by versions that read arithmetic and literals and nothing that could call.
"""

import ast
import re
import sys
from collections.abc import Callable
from typing import Any

NAMES = frozenset(
    [
        "Abs",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "cot",
        "csc",
        "exp",
        "ln",
        "log",
        "pi",
        "sec",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "erf",
        "gamma",
        "oo",
    ]
)
IDENTIFIER = re.compile(r"[^\W\d]\w*")
ARITHMETIC = re.compile(r"[\w\s+\-*/^%(),.=<>!]*")
ATTRIBUTE = re.compile(r"[^\W\d]\w*\s*\.|\)\s*\.|\.\s*[^\W\d]")
LITERALS = (
    *(ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Load),
    *(ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop),
)


def checked_expression(text: str, names: frozenset[str] = frozenset()) -> str:
    """The text, where it is arithmetic over numbers, single letters, `names` and the usual functions.

    Raises:
      ValueError: it has anything else, such as another name, an attribute, a quotation mark or a bracket.
    """
    if not ARITHMETIC.fullmatch(text) or "__" in text or ATTRIBUTE.search(text):
        raise ValueError("not an arithmetic expression")
    for name in IDENTIFIER.findall(text):
        if len(name) > 1 and name not in NAMES and name not in names:
            raise ValueError(f"not an arithmetic expression: it names {name}")
    return text


def literal(text: str, *_: Any) -> Any:
    """What `eval` gives for literals and arithmetic of them.

    Raises:
      ValueError: the text has anything else.
    """
    tree = ast.parse(text.strip(), mode="eval")
    if not all(isinstance(node, LITERALS) for node in ast.walk(tree)):
        raise ValueError("neither a literal nor arithmetic")
    return eval(compile(tree, "<answer>", "eval"), {"__builtins__": {}})  # noqa: S307 - of the nodes above alone


def disarm(library: str) -> None:
    """Replaces sympy's `parse_expr` everywhere and `eval` in a library's modules; import the library after this, and
    call it again.
    """
    import sympy
    import sympy.parsing.sympy_parser as parser

    if parser.parse_expr.__name__ != "guarded":
        guard = _guarded(parser.parse_expr)
        parser.parse_expr = sympy.parsing.parse_expr = sympy.parse_expr = guard
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == library:
            module.__dict__["eval"] = literal


def _guarded(parse_expr: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(text: str, local_dict: dict[str, Any] | None = None, *rest: Any, **options: Any) -> Any:
        return parse_expr(checked_expression(text, frozenset(local_dict or ())), local_dict, *rest, **options)

    return guarded
