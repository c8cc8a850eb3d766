"""Eight problems of our own in HumanEval's form: the code verifier is tested without any data from elsewhere."""

from typing import NamedTuple

from workers.verifiers import Problem


class Own(NamedTuple):
    """A problem with a body that solves it, and one that solves some of its tests."""

    problem: Problem
    right: str
    partly: str
    share: float


def _own(prompt: str, name: str, asserts: tuple[str, ...], right: str, partly: str, share: float) -> Own:
    test = "def check(candidate):\n" + "".join(f"    assert {line}\n" for line in asserts)
    return Own(Problem(prompt=prompt, tests={"test": test, "entry_point": name}), right, partly, share)


PROBLEMS = {
    "triangle": _own(
        'def triangle(n: int) -> int:\n    """1 + 2 + … + n."""\n',
        "triangle",
        ("candidate(0) == 0", "candidate(1) == 1", "candidate(4) == 10", "candidate(100) == 5050"),
        "    return n * (n + 1) // 2\n",
        "    return n\n",
        0.5,
    ),
    "pairs": _own(
        "from typing import List, Tuple\n\n\n"
        'def pairs(xs: List[int]) -> List[Tuple[int, int]]:\n    """Neighbours."""\n',
        "pairs",
        ("candidate([]) == []", "candidate([1, 2, 3]) == [(1, 2), (2, 3)]"),
        "    return list(zip(xs, xs[1:]))\n",
        "    return [list(pair) for pair in zip(xs, xs[1:])]\n",
        0.5,
    ),
    "inverse": _own(
        'def shifted(s: str) -> str:\n    """Each letter by 5."""\n'
        '    return "".join(chr((ord(c) - 92) % 26 + 97) for c in s)\n\n\n'
        'def unshifted(s: str) -> str:\n    """The inverse of shifted."""\n',
        "unshifted",
        ("candidate(shifted('abc')) == 'abc'", "candidate(shifted('xyz')) == 'xyz'"),
        '    return "".join(chr((ord(c) - 102) % 26 + 97) for c in s)\n',
        "    return 'abc'\n",
        0.5,
    ),
    "roots": _own(
        'import math\n\n\ndef root(x: float) -> float:\n    """The square root."""\n',
        "root",
        ("abs(candidate(2.0) - math.sqrt(2)) < 1e-9", "candidate(0.0) == 0.0", "candidate(1.0) == 1.0"),
        "    return math.sqrt(x)\n",
        "    return x\n",
        2 / 3,
    ),
    "words": _own(
        'def words(s: str) -> dict:\n    """How often each word stands in s."""\n',
        "words",
        ("candidate('') == {}", "candidate('a b a') == {'a': 2, 'b': 1}"),
        "    from collections import Counter\n    return Counter(s.split())\n",
        "    return {}\n",
        0.5,
    ),
    "unique": _own(
        'def unique(xs: list) -> set:\n    """The values that stand once."""\n',
        "unique",
        ("candidate([1, 1, 2]) == {2}", "candidate([]) == set()", "all(x in candidate('abb') for x in 'a')"),
        "    return {x for x in xs if xs.count(x) == 1}\n",
        "    return set(xs)\n",
        2 / 3,
    ),
    "nothing": _own(
        'def first(xs: list):\n    """The first value, or None."""\n',
        "first",
        ("candidate([]) is None", "candidate([3, 4]) == 3"),
        "    return xs[0] if xs else None\n",
        "    return None\n",
        0.5,
    ),
    "large": _own(
        'def power(n: int) -> int:\n    """7 to the n."""\n',
        "power",
        ("candidate(2) == 49", "candidate(3000) == 7**3000"),
        "    return 7**n\n",
        "    return 49\n",
        0.5,
    ),
}
