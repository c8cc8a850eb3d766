import json
from dataclasses import replace
from math import nan

import pytest

from dashboards.assets import asset
from dashboards.figures import curve_figure
from dashboards.pages import (
    CONTENT_SECURITY_POLICY,
    CompletionsMissing,
    ErrorPage,
    HomePage,
    NoVerdict,
    ProblemRow,
    ProblemTable,
    RunRow,
    SolveCounts,
    TooMuchWork,
    VerifierNeeded,
    render_error,
    render_evaluation,
    render_home,
)
from pkpo.curves import PassAtKCurve
from tests.dashboards.examples import SERVER, C, N, Page, evaluation_page, problem_rows, run_row

CURVE = PassAtKCurve.from_counts(N, C)
MISSING = CompletionsMissing(expected=8800, absent=300, unverified=8, infrastructure_errors=4, problems=41)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "<!--",
]


def home(*rows: RunRow) -> Page:
    return Page(render_home(HomePage(SERVER, rows)))


def evaluation(**changes: object) -> Page:
    return Page(render_evaluation(evaluation_page(**changes)))


def test_a_run_shows_its_numbers_each_with_interval_n_and_problems() -> None:
    page = home(run_row("codellama-7b", CURVE))
    assert "codellama-7b 40 cruxeval-output@1 10 5 0.400 [0.000, 0.948]" in page.text
    title = next(title for title in page.values("title") if title.startswith("pass@8"))
    assert title == f"pass@8 = {CURVE.points[3].value}; n = 10, 5 problems"


def test_pass_at_8_of_fewer_completions_is_a_dash_that_says_why() -> None:
    page = home(run_row("five", PassAtKCurve.from_counts([5, 5], [1, 4])))
    assert "—" in page.text
    assert "pass@8 needs 8 completions per problem; the smallest has 5" in page.values("title")


def test_a_run_without_a_number_says_what_there_is_instead() -> None:
    assert "312 of 8,800 completions missing" in home(run_row("llama", MISSING)).text
    assert "880 completions, no verdict yet" in home(run_row("o1-mini", NoVerdict(880))).text
    assert "2 verifiers: choose one" in home(run_row("graded", VerifierNeeded(("base@1", "plus@1")))).text
    assert "too much to estimate here" in home(run_row("millions", TooMuchWork("It takes too long."))).text
    assert "no evaluation yet" in home(RunRow("/runs/fresh", "fresh", None)).text


def test_rewards_are_shown_as_max_at_k_and_labelled() -> None:
    page = home(run_row("scored", PassAtKCurve.from_rewards([[0.5, 2.0], [1.0, 3.0]])))
    assert "max@1 1.625" in page.text
    assert "max@2 2.500" in page.text


def test_a_number_without_an_interval_says_so() -> None:
    assert "no interval" in home(run_row("one-problem", PassAtKCurve.from_counts([64], [9]))).text


def test_a_biased_estimate_is_marked_with_its_reason() -> None:
    page = home(run_row("topped-up", CURVE, bias="12 problems were topped up after their outcome was seen."))
    assert "biased" in page.text
    assert "12 problems were topped up after their outcome was seen." in page.values("title")


def test_no_runs_yet_shows_the_commands_to_type_with_this_servers_address() -> None:
    page = Page(render_home(HomePage("http://10.0.0.5:9000", ())))
    assert "pkpo import FILE --run NAME --step 0" in page.text
    for path in ("/v1/evaluations ", "/v1/evaluations/ID/completions ", "/v1/transforms "):
        assert f"curl http://10.0.0.5:9000{path}" in page.text


def test_a_filter_that_matches_nothing_is_not_the_empty_state() -> None:
    page = Page(render_home(HomePage(SERVER, (), filter="llama")))
    assert "No run’s name contains “llama”" in page.text
    assert "pkpo import" not in page.text


def test_the_next_page_keeps_the_filter() -> None:
    page = Page(render_home(HomePage(SERVER, (run_row("a", CURVE),), "a&b", cursor="one", next_cursor="two")))
    assert "/?filter=a%26b&cursor=two" in page.values("href")
    assert "/?filter=a%26b" in page.values("href")


def test_the_filter_works_without_javascript() -> None:
    for page in (home(run_row("a", CURVE)), evaluation()):
        form = next(attributes for tag, attributes in page.elements if attributes.get("role") == "search")
        assert form["method"] == "get"
        assert form["action"] == form["hx-get"]


def test_an_evaluation_says_what_was_evaluated_and_how() -> None:
    page = evaluation()
    for fact in (
        "codellama-7b step 40 on cruxeval-output@1",
        "n, completions per problem 10",
        "problems 5",
        "completions 50",
        'sampling temperature 0.2 stop ["</answer>"]',
        "model codellama/CodeLlama-7b-hf",
        "verifier exact@1",
        "evaluated 2026-03-01 14:02 UTC",
    ):
        assert fact in page.text


def test_the_table_of_points_says_what_the_plot_shows() -> None:
    page = evaluation()
    assert "1 0.400 [0.000, 0.948] 0.197" in page.text
    assert "10 = n 0.600 [0.000, 1.000] 0.245" in page.text
    assert str(CURVE.points[1].value) in page.values("title")
    assert json.loads(page.data[0]) == json.loads(curve_figure(CURVE).to_json())


def test_the_note_says_which_interval_it_is() -> None:
    text = evaluation().text
    assert "95 % interval of the mean over problems, the 5 problems taken as a sample of their kind" in text
    assert "Student t with 4 degrees of freedom, within [0, 1]." in text
    assert "Unbiased, if the completions of a problem are independent of each other and n was fixed" in text
    assert "Not unbiased. Topped up." in evaluation(bias="Topped up.").text


def test_an_interval_without_width_is_not_called_certain() -> None:
    assert "which is not certainty" in evaluation(outcome=PassAtKCurve.from_counts([4, 4], [4, 4])).text
    assert "which is not certainty" not in evaluation().text


def test_one_problem_has_no_interval_and_says_so() -> None:
    text = evaluation(outcome=PassAtKCurve.from_counts([10], [3])).text
    assert "One problem says nothing about the spread between problems" in text
    assert "nan" not in text


def test_solve_rates_are_counted_beside_their_histogram() -> None:
    text = evaluation().text
    assert "none 2 40.0 % some 2 40.0 % all 1 20.0 %" in text


def test_missing_completions_are_counted_and_the_way_out_is_shown() -> None:
    page = evaluation(outcome=MISSING)
    assert "312 of 8,800 completions are missing" in page.text
    assert "Never sent: 300; without a verdict: 8; lost to infrastructure errors: 4; on" in page.text
    url = evaluation_page().url
    assert f"{url}?missing=drop" in page.values("href")
    assert f"{url}?missing=fail" in page.values("href")
    assert "/missing?verifier=exact@1" in page.text


def test_missing_rewards_are_not_offered_to_count_as_failures() -> None:
    page = evaluation(outcome=MISSING, solved=None)
    assert not any("missing=fail" in href for href in page.values("href"))


def test_where_nothing_has_a_result_nothing_can_be_left_out() -> None:
    nothing = CompletionsMissing(expected=8, absent=0, unverified=0, infrastructure_errors=8, problems=2)
    page = evaluation(outcome=nothing)
    assert "No completion has a result" in page.text
    assert not any("missing=" in href for href in page.values("href"))


def test_a_policy_for_missing_completions_is_declared_beside_the_curve() -> None:
    assert "5 of 8 are in it" in evaluation(missing="drop", problems_total=8).text
    assert "Missing completions count as not passed." in evaluation(missing="fail").text


def test_completions_without_a_verdict_show_how_to_send_one() -> None:
    page = evaluation(outcome=NoVerdict(880), verifiers=(), verifier=None, solved=None, problems=None)
    assert "No verdict yet 880 completions are stored" in page.text
    assert "/verifications" in page.text
    assert "Problem contains" not in page.text


def test_an_evaluation_without_completions_shows_how_to_send_them() -> None:
    page = evaluation(outcome=NoVerdict(0), verifiers=(), verifier=None, solved=None, problems=None)
    assert "No completions yet" in page.text
    assert f"curl {SERVER}/v1/evaluations/{evaluation_page().evaluation}/completions" in page.text
    assert "no completions yet" in home(run_row("fresh", NoVerdict(0))).text


def test_several_verifiers_are_links_to_their_own_curves() -> None:
    verifiers = ("base@1", "plus@1")
    page = evaluation(outcome=VerifierNeeded(verifiers), verifiers=verifiers, verifier=None, solved=None, problems=None)
    assert f"{evaluation_page().url}?verifier=plus%401" in page.values("href")


def test_rewards_have_a_curve_and_a_table_but_no_solve_rates() -> None:
    row = ProblemRow("p1", n=2, c=None, mean_reward=-1.25, missing=0, estimates=(3.0,))
    table = ProblemTable((row,), 1, "max_at_k", (2,), sort="-mean_reward")
    outcome = PassAtKCurve.from_rewards([[0.5, 2.0], [1.0, 3.0]])
    page = evaluation(outcome=outcome, solved=None, problems=table)
    assert "mean reward ↓ max@2" in page.text
    assert "p1 2 −1.250 3.000" in page.text
    assert "Solve rates" not in page.text


def test_problems_show_n_c_and_solve_rate_and_missing_where_any_is() -> None:
    assert "sample_1 10 3 0.300" in evaluation().text
    rows = (replace(problem_rows()[1], n=8, missing=2, estimates=(nan,)),)
    page = evaluation(problems=ProblemTable(rows, 1, "pass_at_k", (2,)))
    assert "problem ↑ n missing c" in page.text
    assert "sample_1 8 2 3 0.375 —" in page.text


def test_the_view_is_in_its_links() -> None:
    table = ProblemTable(problem_rows(), 5, "pass_at_k", (2,), sort="-solve_rate", filter="a b", next_cursor="next")
    page = evaluation(problems=table, verifiers=("base@1", "plus@1"), verifier="plus@1", missing="drop")
    view = f"{evaluation_page().url}?verifier=plus%401&missing=drop"
    assert f"{view}&sort=-solve_rate&filter=a+b&cursor=next" in page.values("href")
    assert f"{view}&sort=solve_rate&filter=a+b" in page.values("href")
    assert f"{view}&sort=n&filter=a+b" in page.values("href")
    hidden = [(a["name"], a["value"]) for tag, a in page.elements if tag == "input" and a.get("type") == "hidden"]
    of_both_forms = [("verifier", "plus@1"), ("missing", "drop"), ("sort", "-solve_rate")]
    assert hidden == [*of_both_forms, ("filter", "a b"), *of_both_forms]


def test_further_k_are_part_of_the_view_and_of_the_curves_file() -> None:
    page = evaluation(further_ks=(3, 5), verifiers=("base@1", "plus@1"), verifier="plus@1")
    url = evaluation_page().url
    assert next(a for tag, a in page.elements if a.get("id") == "k")["value"] == "3,5"
    assert f"{url}?verifier=plus%401&k=3%2C5&sort=n" in page.values("href")
    assert f"{url}/curve.csv?verifier=plus%401&k=3%2C5" in page.values("href")
    assert f"{url}/problems.csv?verifier=plus%401" in page.values("href")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_text_wherever_it_stands(text: str) -> None:
    def pages(name: str) -> list[Page]:
        rows = (replace(problem_rows()[0], problem=name),)
        table = ProblemTable(rows, 1, "pass_at_k", (2,), filter=name, cursor=name, next_cursor=name)
        row = run_row(name, CURVE, bias=name)
        assert row.latest is not None
        return [
            Page(render_home(HomePage(SERVER, (replace(row, latest=replace(row.latest, problem_set=name)),), name))),
            Page(render_home(HomePage(SERVER, (), name))),
            evaluation(
                run=name, problem_set=name, model=name, sampling={name: name}, bias=name, problems=table,
                verifiers=(name, "plus@1"), verifier=name,
            ),
            evaluation(outcome=MISSING, verifier=name, verifiers=(name,)),
            evaluation(outcome=VerifierNeeded((name, "b")), verifiers=(name, "b"), verifier=None),
            Page(render_error(ErrorPage(404, name, name))),
        ]  # fmt: skip

    for hostile, plain in zip(pages(text), pages("plain"), strict=True):
        assert hostile.shape == plain.shape
        assert " ".join(text.split()) in hostile.text


def test_no_page_has_an_inline_script_a_handler_or_an_address_elsewhere() -> None:
    pages = [home(), home(run_row("a", CURVE)), evaluation(), evaluation(outcome=MISSING)]
    for page in pages:
        for tag, attributes in page.elements:
            assert not any(name.startswith("on") for name in attributes)
            if tag == "script":
                assert attributes.get("type") == "application/json" or attributes["src"]
        for address in page.values("src") + page.values("href") + page.values("action"):
            assert address.startswith(("/", "#", "data:image/svg+xml,"))
            assert not address.startswith("//")


def test_every_asset_that_a_page_names_is_served() -> None:
    page = evaluation()
    addresses = [a for a in page.values("src") + page.values("href") if a.startswith("/assets/")]
    assert len(addresses) == 6
    for address in addresses:
        _, _, digest, name = address.split("/")
        assert asset(name, digest) is not None


def test_plotly_is_loaded_only_where_something_is_drawn() -> None:
    assert not any("plotly" in src for src in home(run_row("a", CURVE)).values("src"))
    nothing = evaluation(outcome=NoVerdict(880), solved=None, problems=None)
    assert not any("plotly" in src for src in nothing.values("src"))
    assert not any("plotly" in src for src in evaluation(outcome=MISSING, solved=SolveCounts((), ())).values("src"))


def test_the_policy_allows_scripts_from_here_only_and_nothing_evaluated() -> None:
    directives = dict(part.strip().split(" ", 1) for part in CONTENT_SECURITY_POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY.replace("style-src 'self' 'unsafe-inline'", "")


def test_an_error_page_has_its_own_words_and_the_way_back() -> None:
    page = Page(render_error(ErrorPage(404, "There is no such evaluation", "None has this id.")))
    assert "There is no such evaluation" in page.text
    assert "None has this id." in page.text
    assert "/" in page.values("href")
