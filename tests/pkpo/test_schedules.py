"""Schedules resume, keep their bounds, and go the way they promise."""

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo.schedules import SCHEDULES, Observed, Schedule, State, from_spec, mixture, signal_k
from tests.examples_of import examples

STEP = {"schedule": "step", "from": 8, "to": 1, "at": 1500}
PLATEAU = {"schedule": "plateau", "levels": [8, 4, 1], "patience": 2}
SPECS: list[Any] = [
    8,
    2.5,
    {"1": 0.5, "8": 0.5},
    {"schedule": "constant", "k": 4},
    {"schedule": "step", "from": 8, "to": 1, "at": 5},
    {"schedule": "linear", "from": 8, "to": 1, "over": 7},
    {"schedule": "cosine", "from": 1, "to": 16, "over": 9, "begin": 2},
    {"schedule": "exponential", "from": 16, "to": 1.5, "over": 11, "begin": 1},
    {**PLATEAU, "min_delta": 0.02, "hysteresis": 0.1, "watch": "cumulative_solve_rate"},
    {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "up"},
    {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "down", "decay": 0},
    {"schedule": "signal", "smallest": 1, "largest": 16},
    {"schedule": "signal", "smallest": 2, "largest": 16, "per_problem": True, "decay": 0.5},
]
each = pytest.mark.parametrize("spec", SPECS, ids=str)
rates = st.one_of(st.none(), st.floats(0, 1))


def seen(schedule: Schedule, rate: float | None) -> Observed:
    """What the schedule asks for, where this rate was measured."""
    if rate is None or schedule.observes is None:
        return None
    return {"sum/7": rate, "sum/8": rate / 2} if schedule.observes == "solve_rates" else rate


def ks(schedule: Schedule, state: State, measured: Sequence[float | None]) -> list[Any]:
    found = []
    for rate in measured:
        found.append(schedule.k(state, "sum/7"))
        state = schedule.after(state, seen(schedule, rate))
    return found


def test_every_schedule_is_among_those_tested() -> None:
    assert {spec["schedule"] for spec in SPECS if isinstance(spec, dict) and "schedule" in spec} == set(SCHEDULES)


@each
@settings(max_examples=examples(30), deadline=None)
@given(measured=st.lists(rates, min_size=1, max_size=25), data=st.data())
def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(
    spec: Any, measured: list[float | None], data: st.DataObject
) -> None:
    schedule = from_spec(spec)
    stop = data.draw(st.integers(0, len(measured) - 1))
    state = schedule.start()
    for rate in measured[:stop]:
        before = json.dumps(state)
        state = schedule.after(state, seen(schedule, rate))
        assert json.dumps(state) != before
    saved = json.loads(json.dumps(state))
    assert ks(from_spec(spec), saved, measured[stop:]) == ks(schedule, schedule.start(), measured)[stop:]


@each
@settings(max_examples=examples(30), deadline=None)
@given(measured=st.lists(rates, min_size=1, max_size=25))
def test_k_keeps_its_bounds_and_a_state_is_never_changed(spec: Any, measured: list[float | None]) -> None:
    schedule = from_spec(spec)
    state = schedule.start()
    for rate in measured:
        kept = json.dumps(state)
        k = schedule.k(state, "sum/7")
        assert 1 <= min(mixture(k)) <= max(mixture(k)) <= math.ceil(schedule.largest)
        after = schedule.after(state, seen(schedule, rate))
        assert json.dumps(state) == kept
        state = after


def test_the_papers_schedule_is_8_and_from_step_1500_on_1() -> None:
    schedule = from_spec(STEP)
    assert [schedule.k({"step": step}) for step in (0, 1499, 1500, 9999)] == [8, 8, 1, 1]


@settings(deadline=None)
@given(
    st.sampled_from(["linear", "cosine", "exponential"]),
    st.floats(1, 64),
    st.floats(1, 64),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_a_ramp_goes_one_way_from_end_to_end(name: str, first: float, then: float, over: int, begin: int) -> None:
    schedule = from_spec({"schedule": name, "from": first, "to": then, "over": over, "begin": begin})
    found = ks(schedule, schedule.start(), [None] * (begin + over + 3))
    assert found[: begin + 1] == [first] * (begin + 1)
    assert found[begin + over :] == [then] * 3
    way = 1 if then > first else -1
    assert all(way * (later - earlier) >= -1e-12 * first for earlier, later in pairwise(found))


@pytest.mark.parametrize(("name", "middle"), [("linear", 8.5), ("cosine", 8.5), ("exponential", 4.0)])
def test_ramps_differ_in_their_way(name: str, middle: float) -> None:
    schedule = from_spec({"schedule": name, "from": 16, "to": 1, "over": 4})
    assert schedule.k({"step": 2}) == pytest.approx(middle, rel=1e-15)
    quarter = {"linear": 12.25, "cosine": 16 - 15 * (1 - math.sqrt(0.5)) / 2, "exponential": 8.0}
    assert schedule.k({"step": 1}) == pytest.approx(quarter[name], rel=1e-15)


def test_a_plateau_is_patience_measurements_without_a_rise() -> None:
    schedule = from_spec({**PLATEAU, "min_delta": 0.02})
    assert ks(schedule, schedule.start(), [0.1, 0.2, None, 0.21, None, 0.22, 0.3, 0.3, 0.3, 0.3, 0.3]) == [
        8,
        8,
        8,
        8,
        8,
        8,
        4,  # .21 and .22 are no rise above .2 + .02
        4,
        4,
        1,
        1,
    ]


def test_the_last_level_stays() -> None:
    schedule = from_spec(PLATEAU)
    assert ks(schedule, schedule.start(), [0.5] * 50)[-40:] == [1] * 40


def test_hysteresis_goes_back_after_a_fall_and_forward_after_patience() -> None:
    schedule = from_spec({**PLATEAU, "hysteresis": 0.1})
    measured = [0.5, 0.5, 0.5, 0.41, 0.39, 0.2, 0.2, 0.3]
    assert ks(schedule, schedule.start(), measured) == [8, 8, 8, 4, 4, 8, 8, 4]
    since_the_best = [0.5, 0.45, 0.45, 0.39, 0.5]  # below .5 - .1, not below .45 - .1
    assert ks(schedule, schedule.start(), since_the_best) == [8, 8, 8, 4, 8]
    without = from_spec(PLATEAU)
    assert ks(without, without.start(), [0.5, 0.5, 0.5, 0.41, 0.39, 0.2]) == [8, 8, 8, 4, 4, 1]


@pytest.mark.parametrize(("direction", "expected"), [("up", [1, 1, 4.5, 8, 8]), ("down", [8, 8, 4.5, 1, 1])])
def test_the_adaptive_form_is_clamped_and_goes_either_way(direction: str, expected: list[float]) -> None:
    schedule = from_spec(
        {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": direction, "decay": 0}
    )
    assert ks(schedule, schedule.start(), [0.0, 0.25, 0.5, 0.9, None]) == expected


def test_the_solve_rate_is_a_moving_average() -> None:
    schedule = from_spec({"schedule": "signal", "smallest": 1, "largest": 16})
    state = schedule.after(schedule.after(schedule.start(), 0.2), 0.4)
    assert state == {"step": 2, "solve_rate": pytest.approx(0.22)}
    assert schedule.k(state) == pytest.approx(-1 / math.log(0.78))


def test_each_problem_may_have_its_own_k() -> None:
    schedule = from_spec({"schedule": "signal", "smallest": 1, "largest": 16, "per_problem": True})
    state = schedule.after(schedule.start(), {"easy": 0.9, "hard": 0.1})
    assert [schedule.k(state, name) for name in ("easy", "hard", "new")] == [1, pytest.approx(9.491, abs=1e-3), 16]
    assert schedule.observes == "solve_rates"
    with pytest.raises(ValueError, match="a k for each problem; name the problem"):
        schedule.k(state)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_k_of_the_largest_signal_falls_with_p(p: float, other: float) -> None:
    low, high = sorted((p, other))
    assert signal_k(low, 1, 64) >= signal_k(high, 1, 64)
    if 0.02 < p < 1:
        free = float(signal_k(p, 1, 1e9))
        assert free == 1 or 1 / p - 1 <= free <= 1 / p - 0.5 + 1e-9
        best = max(range(1, 64), key=lambda k: k * (1 - p) ** (k - 1))
        assert math.floor(free) <= best <= math.ceil(free)


def test_the_ends_of_the_solve_rate_are_clipped() -> None:
    assert signal_k([0.0, 1e-300, 0.5, 1.0], 1, 16).tolist() == [16, 16, pytest.approx(1 / math.log(2)), 1]


@settings(deadline=None)
@given(st.floats(1, 2**40))
def test_a_mixture_is_exact(k: float) -> None:
    parts = mixture(k)
    assert sum(map(Fraction, parts.values())) == 1
    assert sum(each * Fraction(weight) for each, weight in parts.items()) == Fraction(k)
    assert set(parts) <= {math.floor(k), math.ceil(k)}
    assert all(weight > 0 for weight in parts.values())


def test_credits_of_a_mixture_are_between_those_of_its_ks() -> None:
    g = [0.0, 1.0, 0.25, 0.5]
    between = pkpo.multi_k(g, mixture(2.25))
    assert np.allclose(between, 0.75 * pkpo.sloo_minus_one(g, 2) + 0.25 * pkpo.sloo_minus_one(g, 3), rtol=1e-15)
    assert mixture({8: 0.5, 1: 2.0}) == {1: 2.0, 8: 0.5}


@pytest.mark.parametrize("made", [mixture, lambda k: pkpo.multi_k([0, 1, 0, 1], k)])
def test_several_k_without_weights_are_refused_with_the_way_to_have_them(made: Any) -> None:
    with pytest.raises(ValueError, match=r"k must be a real number or a mapping of weights; got \[1, 4\]"):
        made([1, 4])


@pytest.mark.parametrize(
    ("of_numpy", "of_python"),
    [
        (np.int64(4), 4),
        (np.float64(2.5), 2.5),
        ({1: np.float32(0.5), np.int64(8): 0.5}, {1: 0.5, 8: 0.5}),
        ({**STEP, "from": np.int64(8), "at": np.int64(1500)}, STEP),
        ({**PLATEAU, "levels": [np.int64(8), 4, 1]}, PLATEAU),
    ],
)
def test_numbers_of_numpy_make_the_same_schedule(of_numpy: Any, of_python: Any) -> None:
    assert repr(from_spec(of_numpy)) == repr(from_spec(of_python))  # what a checkpoint is held to


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (0, "k must be at least 1; got 0"),
        (True, "k must be a real number, a mapping of weights or a schedule's specification; got True"),
        ("8", "k must be a real number, a mapping of weights or a schedule's specification; got '8'"),
        ([8, 1], r"k must be a real number, a mapping of weights or a schedule's specification; got \[8, 1\]"),
        (math.inf, "k must be finite"),
        (None, "k must be a real number, a mapping of weights or a schedule's specification; got None"),
        ({}, "k must name at least one number of attempts"),
        ({"1": 0.5, 1: 0.5}, "k=1 has two weights"),
        ({"1.5": 1}, "k must be an integer; got '1.5'"),
        ({"0": 1}, "k must be at least 1; got k=0"),
        ({"8": math.nan}, "the weight of k=8 must be finite"),
        ({"schedule": "random"}, "schedule must be one of constant, step, .*; got 'random'"),
        ({"schedule": ["step"]}, "schedule must be one of"),
        ({"schedule": "step", "from": 8, "to": 1}, "schedule step needs 'at'"),
        ({**STEP, "until": 3}, "schedule step takes from, to, at; got 'until'"),
        ({**STEP, "from": 0.5}, "schedule step: from must be at least 1; got 0.5"),
        ({**STEP, "at": 1.5}, "schedule step: at must be an integer from 0 up; got 1.5"),
        ({**STEP, "at": -1}, "at must be an integer from 0 up; got -1"),
        ({"schedule": "linear", "from": 8, "to": 1, "over": 0}, "over must be an integer from 1 up; got 0"),
        ({"schedule": "linear", "from": 8, "to": "1", "over": 5}, "to must be a real number; got '1'"),
        ({**PLATEAU, "levels": []}, "levels must name at least one k"),
        ({**PLATEAU, "levels": 8}, "levels must be a list of k; got 8"),
        ({**PLATEAU, "levels": [8, 0]}, "a level must be at least 1; got 0"),
        ({**PLATEAU, "patience": 0}, "patience must be an integer from 1 up"),
        ({**PLATEAU, "min_delta": -1}, "min_delta must be at least 0; got -1"),
        ({**PLATEAU, "watch": "loss"}, "watch must be pass_at_k or cumulative_solve_rate; got 'loss'"),
        ({"schedule": "signal", "smallest": 8, "largest": 4}, "smallest must be at most largest; got 8 and 4"),
        ({"schedule": "signal", "smallest": 1, "largest": 4, "decay": 1}, "decay must be below 1"),
        ({"schedule": "signal", "smallest": 1, "largest": 4, "per_problem": 1}, "per_problem must be true or false"),
        (
            {"schedule": "adaptive", "smallest": 1, "largest": 4, "target": 0, "direction": "up"},
            "target must be above 0",
        ),
        (
            {"schedule": "adaptive", "smallest": 1, "largest": 4, "target": 0.5, "direction": "left"},
            "direction must be up or down; got 'left'",
        ),
    ],
)
def test_what_is_no_specification_is_named(spec: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_spec(spec)


@pytest.mark.parametrize(
    ("spec", "state", "observed", "sentence"),
    [
        (8, {"step": 0}, 0.5, "this schedule observes nothing; got 0.5"),
        (8, {"step": -1}, None, "the step of the state must be an integer from 0 up; got -1"),
        (8, {"epoch": 1}, None, "state must be what start or after gave, with step; got"),
        (8, [1], None, "state must be what start or after gave"),
        (PLATEAU, {"step": 0}, None, "with step, level, best, waited, left_at; got"),
        (
            PLATEAU,
            {"step": 0, "level": 3, "best": None, "waited": 0, "left_at": None},
            None,
            "the state is at level 3, and there are 3",
        ),
        (SPECS[-2], {"step": 0, "solve_rate": None}, 1.5, r"a solve rate must be in \[0, 1\]; got 1.5"),
        (SPECS[-1], {"step": 0, "solve_rates": {}}, 0.5, "observes a solve rate for each problem; got 0.5"),
    ],
)
def test_a_state_or_a_measurement_of_another_schedule_is_refused(
    spec: Any, state: Any, observed: Observed, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_spec(spec).after(state, observed)


@pytest.mark.parametrize(
    "spec",
    [
        {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "up"},
        {"schedule": "signal", "smallest": 1, "largest": 8},
    ],
)
@pytest.mark.parametrize("rate", [7, -0.1, "0.5"])
def test_a_state_with_no_solve_rate_in_it_is_refused(spec: Any, rate: Any) -> None:
    with pytest.raises(ValueError, match="a solve rate of the state must be"):
        from_spec(spec).k({"step": 1, "solve_rate": rate})


@pytest.mark.parametrize("k", [0.5, math.nan, -3, {8: math.inf}, {}])
def test_what_is_no_k_is_no_mixture(k: Any) -> None:
    with pytest.raises(ValueError, match=r"k must|the weight of k=8 must"):
        mixture(k)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_a_solve_rate_is_a_share(p: float) -> None:
    with pytest.raises(ValueError, match=r"solve rates must be in \[0, 1\]"):
        signal_k(p, 1, 8)
