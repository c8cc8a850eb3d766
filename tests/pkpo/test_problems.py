"""pkpo.problems: what problem sets of other tools hold arrives whole, or is refused in a sentence."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pkpo.problems import Problem, ProblemsError, from_files, parts_of

SHARED = Path(__file__).resolve().parents[3] / "shared/data"
HUMAN_EVAL = SHARED / "human_eval/HumanEval.jsonl.gz"
GSM8K_SOLUTIONS = SHARED / "gsm8k/example_model_solutions.jsonl.gz"

MBPP = {
    "text": "Write a function to remove first and last occurrence of a given character from the string.",
    "code": "def remove_Occ(s,ch): \r\n    return s",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ['assert remove_Occ("hello","l") == "heo"', 'assert remove_Occ("abcda","a") == "bcd"'],
    "challenge_test_list": ['assert remove_Occ("hellolloll","l") == "helollol"'],
}
SANITIZED = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 2,
    "prompt": "Write a function to find the shared elements from the given two lists.",
    "code": "def similar_elements(a, b):\n  return tuple(set(a) & set(b))",
    "test_imports": ["import math", "import re"],
    "test_list": ["assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))"],
}
GSM8K = {
    "question": "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes. How much did she earn?",
    "answer": "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.\nShe earned 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10",
}
MATH = {
    "problem": "How many vertical asymptotes does the graph of $y=\\frac{2}{x^2+x-6}$ have?",
    "level": "Level 3",
    "type": "Algebra",
    "solution": "Since $x^2+x-6=(x-2)(x+3)$, there are $\\boxed{\\text{two, at }\\{2,-3\\}}$ of them, not \\boxed{.",
}
ARC = {
    "train": [{"input": [[0, 1]], "output": [[1, 0]]}, {"input": [[2, 3], [4, 5]], "output": [[3, 2], [5, 4]]}],
    "test": [{"input": [[7, 8, 9]], "output": [[9, 8, 7]]}],
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of JSON Lines, or of one JSON document, and names it."""

    def written(*records: Any, name: str = "set.jsonl", indent: int | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record, indent=indent) + "\n" for record in records))
        return path

    return written


def read(*paths: Path, **options: Any) -> list[Problem]:
    return list(from_files(paths, **options).problems)


def refusal(*paths: Path, **options: Any) -> str:
    with pytest.raises(ProblemsError) as refused:
        read(*paths, **options)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.skipif(not HUMAN_EVAL.exists(), reason=f"REAL DATA NOT TESTED: {HUMAN_EVAL} is absent")
def test_the_canonical_solutions_of_human_eval_pass_the_tests_that_arrive() -> None:
    problems = read(HUMAN_EVAL)
    assert [each.name for each in problems] == [f"HumanEval/{i}" for i in range(164)]
    assert {each.metadata["form"] for each in problems} == {"human-eval@1"}
    for each in problems[::8]:
        assert each.answer is not None
        program = f"{each.prompt}{each.answer}\n{each.tests['test']}\ncheck({each.tests['entry_point']})"
        exec(program, {"__name__": each.name})  # the dataset's own code, of its authors


@pytest.mark.skipif(not GSM8K_SOLUTIONS.exists(), reason=f"REAL DATA NOT TESTED: {GSM8K_SOLUTIONS} is absent")
def test_every_test_problem_of_gsm8k_arrives_with_its_number(write: Write) -> None:
    with gzip.open(GSM8K_SOLUTIONS, "rt") as lines:
        found = [json.loads(line) for line in lines]
    # OpenAI's file of solutions marks the last line "A:" where its file of problems has "####".
    path = write(
        *({"question": each["question"], "answer": each["ground_truth"].replace("\nA:", "\n####")} for each in found)
    )
    problems = read(path)
    assert len(problems) == len({each.name for each in problems}) == 1319
    assert all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", each.answer or "") for each in problems)
    assert (problems[0].answer, problems[1].answer) == ("18", "3")
    assert max(len(each.name) for each in problems) == len("gsm8k/123456789abc")


def test_mbpp_arrives_with_its_asserts_and_what_they_need(write: Write) -> None:
    (full,) = read(write(MBPP))
    assert (full.name, full.answer) == ("Mbpp/11", MBPP["code"])
    assert full.prompt == (
        "You are an expert Python programmer, and here is your task: Write a function to remove first and last "
        "occurrence of a given character from the string. Your code should pass these tests:\n\n"
        'assert remove_Occ("hello","l") == "heo"\nassert remove_Occ("abcda","a") == "bcd"\n'
    )
    assert full.tests == {
        "test_list": MBPP["test_list"],
        "test_setup_code": "",
        "challenge_test_list": MBPP["challenge_test_list"],
    }
    (sanitized,) = read(write([SANITIZED], name="sanitized-mbpp.json", indent=2))
    assert sanitized.name == "Mbpp/2"
    assert sanitized.tests == {"test_list": SANITIZED["test_list"], "test_setup_code": "import math\nimport re"}
    assert sanitized.metadata == {"form": "mbpp@1", "text": SANITIZED["prompt"]}


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("first \\boxed{1}, then $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("\\fbox{3}", "3"),
        ("so $\\boxed 7$ it is", "7"),
        ("$\\boxed {x^{2}}$", "x^{2}"),
    ],
)
def test_the_answer_of_math_is_in_its_last_box(write: Write, solution: str, answer: str) -> None:
    (problem,) = read(write(MATH | {"solution": solution}))
    assert problem.answer == answer
    assert problem.metadata == {"form": "math@1", "level": "Level 3", "type": "Algebra", "solution": solution}


def test_a_box_that_does_not_close_is_no_answer(write: Write) -> None:
    message = refusal(write(MATH))
    assert message.endswith(
        r':1: the field "solution" has no \boxed{…} whose braces close, and there is no field "answer"'
    )


def test_math_500_is_called_by_its_own_names(write: Write) -> None:
    (problem,) = read(write(MATH | {"answer": "2", "unique_id": "test/algebra/840.json", "subject": "Algebra"}))
    assert (problem.name, problem.answer, problem.metadata["subject"]) == ("test/algebra/840.json", "2", "Algebra")


def test_a_folder_of_math_is_called_by_its_files(write: Write, tmp_path: Path) -> None:
    for name in ("algebra/1.json", "geometry/1.json"):
        write(MATH | {"solution": "\\boxed{1}"}, name=name, indent=4)
    assert [each.name for each in read(tmp_path)] == ["algebra/1", "geometry/1"]
    (only,) = read(write(MATH | {"solution": "\\boxed{1}"}, name="level-5.jsonl"))
    assert re.fullmatch("math/[0-9a-f]{12}", only.name)  # a file of lines may have more of them one day


def test_a_task_of_arc_is_a_problem_for_each_test_input(write: Write, tmp_path: Path) -> None:
    write(ARC, name="3c9b0459.json")
    write(ARC | {"test": ARC["test"] * 2}, name="67a3c6ac.json", indent=1)
    problems = read(tmp_path)
    assert [each.name for each in problems] == ["3c9b0459", "67a3c6ac/1", "67a3c6ac/2"]
    first = problems[0]
    assert first.answer == "9 8 7"
    assert first.tests == {"train": ARC["train"], "input": [[7, 8, 9]], "output": [[9, 8, 7]]}
    assert first.prompt.endswith(
        "\n\nInput:\n0 1\n\nOutput:\n1 0\n\nInput:\n2 3\n4 5\n\nOutput:\n3 2\n5 4\n\nInput:\n7 8 9\n\nOutput:\n"
    )
    assert problems[2].metadata == {"form": "arc@1", "test_index": 1, "task": "67a3c6ac"}
    assert read(tmp_path / "3c9b0459.json") == [first]


@pytest.mark.parametrize("grid", [[], [[]], [[10]], [[True]], [[1], [1, 2]], [[0] * 31], [[0]] * 31, "1 2", None, [1]])
def test_what_is_no_grid_is_refused(write: Write, grid: Any) -> None:
    path = write(ARC | {"test": [{"input": [[1]], "output": grid}]}, name="a.json")
    assert "a.json:1: test[0].output must be a grid, 1 to 30 rows" in refusal(path)


def test_fields_of_other_records_are_named_by_dots(write: Write) -> None:
    record = {"id": 7, "input": {"text": "2 + 2?"}, "target": 4, "checks": [{"in": 1}], "extra": {"level": "easy"}}
    named = {"problem": "id", "prompt": "input.text", "answer": "target", "tests": "checks", "metadata": "extra"}
    assert read(write(record), named=named) == [Problem("7", "2 + 2?", "4", [{"in": 1}], {"level": "easy"})]


def test_records_that_are_problems_already_need_no_names(write: Write) -> None:
    problem = Problem("a", "2 + 2?", "4", {"x": 1}, {"level": 1})
    path = write(problem.sent(), {"prompt": "3 + 3?"})
    first, second = read(path)
    assert first == problem
    assert re.fullmatch("problem/[0-9a-f]{12}", second.name)
    assert (second.answer, second.tests, dict(second.metadata)) == (None, None, {})


def test_a_problem_without_a_name_keeps_its_own_in_any_file_and_order(write: Write) -> None:
    other = GSM8K | {"question": "How many?"}
    names = [each.name for each in read(write(GSM8K, other))]
    assert [each.name for each in read(write(other, GSM8K, name="shuffled.jsonl"))] == names[::-1]


def test_a_problem_that_a_source_has_twice_arrives_once(write: Write) -> None:
    assert len(read(write(GSM8K, GSM8K, GSM8K))) == 1
    differs = GSM8K | {"answer": "#### 1,010"}
    first, second = read(write(GSM8K, differs, GSM8K, differs))
    assert second.name == f"{first.name}-2"
    assert (first.answer, second.answer) == ("10", "1010")


def test_two_problems_of_one_name_are_refused(write: Write) -> None:
    assert (
        refusal(write(MBPP, MBPP | {"code": "def remove_Occ(s, ch): pass"}))
        == 'two problems are called "Mbpp/11", and differ in answer'
    )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "q", "answer": "4"}, 'fields "question", "answer" is of none of the formats human-eval, mbpp'),
        (GSM8K | {"answer": "####"}, 'the field "answer" does not end in #### and a number'),
        (MBPP | {"task_id": "11"}, 'the field "task_id" must be a whole number, and is "11"'),
        (MBPP | {"test_list": []}, 'the field "test_list" is empty'),
        (MBPP | {"test_list": [1]}, 'the field "test_list" must be a list of texts, and is [1]'),
        (MBPP | {"text": " "}, 'the field "text" must be text, and is " "'),
        ({"prompt": "p", "answer": [1]}, 'the field "answer" must be text or a number, and is [1]'),
        ({"prompt": "p", "problem": " "}, 'the field "problem" is blank, and a problem needs a name'),
        ({"prompt": "p", "metadata": 1}, 'the field "metadata" must be an object, and is 1'),
        (ARC | {"train": []}, 'the field "train" must be a list of pairs, and is []'),
    ],
)
def test_a_record_that_is_unsound_is_refused_with_its_place(write: Write, record: Any, message: str) -> None:
    found = refusal(write(record))
    assert found.split("/")[-1].startswith("set.jsonl:1: ")
    assert message in found


def test_what_holds_no_problems_is_refused(write: Write, tmp_path: Path) -> None:
    assert "set.jsonl: empty file" in refusal(write())
    assert "must be an object or a list of objects, and is 3" in refusal(write(3))
    assert "item 1 must be an object, and is 2" in refusal(write([GSM8K, 2]))
    assert "set.jsonl: no problems in it" in refusal(write([]))
    assert ":2: not a JSON object on one line" in refusal(_followed_by(write(GSM8K), '{"question": '))
    cut = "set.jsonl:1: not JSON: Expecting ',' delimiter (column 17)"
    assert cut in refusal(_followed_by(write(), '{"question": "?"\n\n'))
    assert "set.jsonl:1: not JSON: Expecting value" in refusal(_followed_by(write(), "task,prompt"))
    (tmp_path / "folder").mkdir()
    assert "folder: a folder without any .json file" in refusal(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.jsonl")


def _followed_by(path: Path, line: str) -> Path:
    path.write_text(f"{path.read_text()}{line}\n")
    return path


def test_what_is_asked_for_must_be_there(write: Write) -> None:
    path = write(GSM8K)
    assert refusal(path, format="gsm").startswith(
        'no format "gsm"; there are human-eval, mbpp, gsm8k, math, arc, fields'
    )
    assert "they are named for fields only" in refusal(path, format="gsm8k", named={"prompt": "question"})
    assert 'no field "target" for --answer; there are "question", "answer"' in refusal(
        path, named={"prompt": "question", "answer": "target"}
    )
    assert 'no field "task_id"; there are "question", "answer"' in refusal(path, format="human-eval")


def test_a_split_depends_on_the_seed_and_the_names_alone() -> None:
    problems = [Problem(f"p{i}", "?") for i in range(50)]
    train, held_out = parts_of(problems, 0.9, seed=0)
    assert (len(train), len(held_out)) == (45, 5)
    assert sorted(train + held_out, key=problems.index) == problems
    again, _ = parts_of(problems[::-1], 0.9, seed=0)
    assert again[::-1] == train
    assert parts_of(problems, 0.9, seed=1)[0] != train
    with pytest.raises(ProblemsError, match="leaves one part empty"):
        parts_of(problems[:2], 0.9, seed=0)
