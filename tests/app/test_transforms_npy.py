"""POST /v1/transforms with arrays: the credits of the JSON, bit by bit, and no header that is more than numbers."""

from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format
from numpy.testing import assert_array_equal

from app.errors import AppError
from app.transforms.npy import rewards
from app.transforms.wire import MOST_REWARDS
from pkpo.transforms import transform
from tests.app.ingesting import assert_refused, pointers

NPY = "application/x-npy"
REWARDS = np.random.default_rng(3).random((16, 8))


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Nothing here is stored, so one server serves all tests."""
    return shared_client


def array(values: Any) -> bytes:
    stream = BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def with_header(header: str, numbers: bytes = bytes(64), version: int = 1) -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + numbers


def post(client: httpx.Client, body: bytes, query: str = "k=2", **headers: str) -> httpx.Response:
    return client.post(f"/v1/transforms?{query}", content=body, headers={"Content-Type": NPY} | headers)


def credits_in(answer: httpx.Response) -> Any:
    assert answer.raise_for_status().headers["content-type"] == NPY
    return np.load(BytesIO(answer.content), allow_pickle=False)


def test_an_array_gets_the_credits_of_the_library_bit_by_bit(client: httpx.Client) -> None:
    found = credits_in(post(client, array(REWARDS), "k=4&transform=sloo&scale=mean"))
    assert found.dtype == np.float64
    assert_array_equal(found, transform("sloo", REWARDS, 4, scale="mean"))


def test_lam_of_mixed_stands_in_the_query(client: httpx.Client) -> None:
    for query in ("k=4&transform=mixed(0.25)", "k=4&transform=mixed%280.25%29"):
        assert_array_equal(credits_in(post(client, array(REWARDS), query)), transform("mixed(0.25)", REWARDS, 4))
    assert_refused(post(client, array(REWARDS), "k=4&transform=mixed(x)"), 422, "invalid-request")


def test_one_group_comes_back_as_one(client: httpx.Client) -> None:
    assert_array_equal(credits_in(post(client, array(REWARDS[0]))), transform("sloo_minus_one", REWARDS[0], 2))


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8", "i1", ">i2", "i4", ">i8", "u1", ">u4", "u8", "?"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_of_numbers_in_either_order(client: httpx.Client, dtype: str, order: Any) -> None:
    given_rewards = np.array(REWARDS if "f" in dtype else np.rint(REWARDS * 3), dtype=dtype, order=order)
    wanted = transform("sloo_minus_one", np.ascontiguousarray(given_rewards, dtype=np.float64), 2)
    assert_array_equal(credits_in(post(client, array(given_rewards))), wanted)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(client: httpx.Client, version: tuple[int, int]) -> None:
    stream = BytesIO()
    npy_format.write_array(stream, REWARDS, version=version)  # type: ignore[no-untyped-call]
    assert_array_equal(credits_in(post(client, stream.getvalue())), transform("sloo_minus_one", REWARDS, 2))


def test_a_header_as_others_write_it(client: httpx.Client) -> None:
    body = with_header("{'shape':(2,4),'fortran_order':False,\"descr\":'=f8'}", REWARDS[0].tobytes())
    wanted = transform("sloo_minus_one", REWARDS[0].reshape(2, 4), 2)
    assert_array_equal(credits_in(post(client, body)), wanted)


def test_nan_is_a_missing_reward_and_comes_back(client: httpx.Client) -> None:
    with_gaps = REWARDS.copy()
    with_gaps[2, [1, 5]] = np.nan
    found = credits_in(post(client, array(with_gaps)))
    assert_array_equal(np.isnan(found), np.isnan(with_gaps))
    assert_array_equal(found[2, ~np.isnan(found[2])], transform("sloo_minus_one", np.delete(REWARDS[2], [1, 5]), 2))
    assert_array_equal(np.delete(found, 2, axis=0), np.delete(transform("sloo_minus_one", REWARDS, 2), 2, axis=0))


def test_weights_in_the_query_are_those_of_the_json(client: httpx.Client) -> None:
    body = {"rewards": REWARDS.tolist(), "k": {"1": 0.5, "8": 1e-1}, "scale": "rms"}
    as_json = client.post("/v1/transforms", json=body).raise_for_status().json()
    found = credits_in(post(client, array(REWARDS), "k=1:0.5&k=8:1e-1&scale=rms"))
    assert found.tolist() == as_json["credits"]


def test_accept_names_the_form_of_the_answer(client: httpx.Client) -> None:
    body = {"rewards": REWARDS.tolist(), "k": {"1": 0.5, "8": 0.5}}
    plain = client.post("/v1/transforms", json=body).raise_for_status()
    as_json = post(client, array(REWARDS), "k=1:0.5&k=8:0.5", Accept="application/json")
    assert as_json.raise_for_status().json() == plain.json()
    assert plain.json()["k"] == {"1": 0.5, "8": 0.5}
    as_array = client.post("/v1/transforms", json=body, headers={"Accept": f"text/html, {NPY};q=0.5"})
    assert credits_in(as_array).tolist() == plain.json()["credits"]
    both = client.post("/v1/transforms", json=body, headers={"Accept": f"{NPY}, application/json"})
    assert both.json() == plain.json()


def test_no_array_has_the_shape_of_groups_of_several_sizes(client: httpx.Client) -> None:
    answer = client.post("/v1/transforms", json={"rewards": [[1, 0], [1, 0, 1]], "k": 2}, headers={"Accept": NPY})
    assert_refused(answer, 406, "not-acceptable")


def test_groups_too_short_are_refused_or_given_zero(client: httpx.Client) -> None:
    assert_refused(post(client, array(REWARDS), "k=9"), 422, "group-too-short")
    assert not credits_in(post(client, array(REWARDS), "k=9&short=zero")).any()
    assert credits_in(post(client, array(np.zeros((3, 0))), "k=1&short=zero")).shape == (3, 0)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "query/k"),
        ("k=", "query/k"),
        ("k=0", "query/k"),
        ("k=2.0", "query/k"),
        ("k=%222%22", "query/k"),
        ("k={}", "query/k"),
        ("k=1&k=2", "query/k"),
        ("k=1:1&k=1:1", "query/k"),
        ("k=1:nan", "query/k"),
        ("k=1:1e999", "query/k"),
        ("k=1:true", "query/k"),
        ("k=:1", "query/k"),
        (f"k={'9' * 5000}", "query/k"),
        ("k=2&transform=gspo", "query/transform"),
        ("k=2&scale=sum&scale=sum", "query/scale"),
        ("k=2&short=", "query/short"),
        ("k=2&rewards=1", "query"),
    ],
)
def test_an_option_that_breaks_a_rule_is_named(client: httpx.Client, query: str, pointer: str) -> None:
    answer = post(client, array(REWARDS), query)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]


def test_infinities_are_refused_where_they_stand(client: httpx.Client) -> None:
    given_rewards = REWARDS.copy()
    given_rewards[3, 1], given_rewards[4, 0] = np.inf, -np.inf
    answer = post(client, array(given_rewards))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/rewards/3/1", "/rewards/4/0"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"[[1, 0]]",
        b"\x93NUMPY\x04\x00" + array(REWARDS)[8:],
        array(REWARDS)[:-1],
        array(REWARDS) + b"\x00",
        array(REWARDS)[:60],
        array(np.array([None, 1.0])),
        array(np.array([b"a", b"b"])),
        array(np.array([1j])),
        array(np.zeros(2, dtype=[("reward", "f8")])),
        array(np.zeros(2, dtype="M8[s]")),
        array(np.zeros((2, 2), dtype=np.longdouble)),
        array(np.zeros((2, 2, 2))),
        array(np.float64(1)),
        with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (64,)}", bytes([2]) * 64),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (8,), 'more': 1}"),
        with_header("{'descr': '<f8', 'fortran_order': 0, 'shape': (8,)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (8.0,)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 8)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': [8]}"),
        with_header("__import__('os')"),
        with_header("{[]: 1}"),
        with_header("(" * 1000),
        with_header("-" * 1000 + "1"),
        with_header("\x00"),
        with_header(" " * 2000 + "{'descr': '<f8', 'fortran_order': False, 'shape': (8,)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (8,)}", version=2)[:10],
    ],
    ids=lambda body: repr(body[8:60]),
)
def test_what_is_no_array_of_numbers_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = post(client, body)
    assert_refused(answer, 422, "invalid-request")
    assert answer.json()["errors"] == [{"pointer": "", "code": "not-npy"}]
    assert len(answer.text) < 500


def test_no_groups_and_too_many_rewards_are_refused_by_the_header(client: httpx.Client) -> None:
    assert_refused(post(client, array(np.zeros((0, 4)))), 422, "invalid-request")
    for shape in (f"({MOST_REWARDS + 1},)", f"({MOST_REWARDS + 1}, 0)", "(3000000, 2)", f"(1{'0' * 300}, 1)"):
        body = with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}")
        assert_refused(post(client, body), 413, "too-many-rewards")


def test_as_many_rewards_as_one_request_takes(client: httpx.Client) -> None:
    given_rewards = np.zeros((MOST_REWARDS // 16, 16), dtype=np.int8)
    assert credits_in(post(client, array(given_rewards))).shape == given_rewards.shape


@settings(max_examples=300)
@given(st.data())
def test_a_changed_body_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(array(REWARDS[:2]))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(6, 100))] = data.draw(st.integers(0, 255))
    try:
        found = rewards(bytes(body))
    except AppError:
        return
    assert found.dtype == np.float64
    assert found.ndim in (1, 2)
