import inspect
import subprocess
import sys

import pkpo


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert len(set(pkpo.__all__)) == len(pkpo.__all__)
    for name in pkpo.__all__:
        public = getattr(pkpo, name)
        if inspect.isfunction(public) or inspect.isclass(public):
            assert inspect.getdoc(public), name


def test_what_is_not_made_by_its_class_says_what_makes_it() -> None:
    made = {
        name: [each for each in dir(getattr(pkpo, name)) if each.startswith("from_")]
        for name in pkpo.__all__
        if inspect.isclass(getattr(pkpo, name))
    }
    assert {name for name, ways in made.items() if ways} == {"Comparison", "PassAtKCurve", "Pilot"}
    for name, ways in made.items():
        first = (inspect.getdoc(getattr(pkpo, name)) or "").partition(":")[0]
        assert first.startswith("Made by ") == bool(ways)
        assert all(way in first for way in ways), name
    assert "PassAtKCurve.from_counts(n, c) and PassAtKCurve.from_rewards(g)" in (pkpo.__doc__ or "")


def test_the_mathematics_needs_numpy_and_nothing_else() -> None:
    program = (
        "import sys, pkpo; pkpo.PassAtKCurve.from_counts([8, 8], [3, 5]); pkpo.s([0, 1], 1);"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if not name.startswith("_")} == {"numpy", "pkpo"}


def test_modules_are_there_without_being_imported_first() -> None:
    program = "import pkpo; print(pkpo.transforms.sloo is pkpo.sloo, pkpo.curves.PassAtKCurve is pkpo.PassAtKCurve)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == "True True\n"
