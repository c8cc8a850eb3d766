"""The examples in the docstrings of every module that needs NumPy alone."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import pkpo

APART = ("pkpo.__main__", "pkpo.client", "pkpo.integrations", "pkpo.plot", "pkpo.torch")  # these need more than NumPy
MODULES = [module.name for module in walk_packages(pkpo.__path__, "pkpo.") if not module.name.startswith(APART)]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_docstring_show_what_comes_out(module: str) -> None:
    assert doctest.testmod(import_module(module), extraglobs={"pkpo": pkpo}).failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "pass_at_k",
        "max_at_k",
        "best_of_k",
        "maj_at_k",
        "pad",
        "PassAtKCurve.from_counts",
        "sloo_minus_one",
        "transform",
    ],
)
def test_what_is_used_most_has_an_example(name: str) -> None:
    found: object = pkpo
    for part in name.split("."):
        found = getattr(found, part)
    assert doctest.DocTestParser().get_examples(found.__doc__ or "")
