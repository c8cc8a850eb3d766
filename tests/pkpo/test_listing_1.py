"""The paper's Listing 1, mended in one slice: equal to the library where it is right, and wrong as the errata say."""

import numpy as np
import pytest

import pkpo
from benchmarks import listing_1


@pytest.mark.parametrize("n", [2, 3, 8, 16])
def test_where_it_is_right_it_is_what_the_library_gives(n: int) -> None:
    g = np.random.default_rng(n).normal(size=n)
    for k in range(1, n + 1):
        assert listing_1.rho(g, k) == pytest.approx(float(pkpo.max_at_k(g, k)), abs=7e-15)
        assert listing_1.s(g, k) == pytest.approx(pkpo.s(g, k), abs=7e-15)
        if k < n:
            assert listing_1.sloo(g, k) == pytest.approx(pkpo.sloo(g, k), abs=7e-15)
        if k > 1:
            assert listing_1.sloo_minus_one(g, k) == pytest.approx(pkpo.sloo_minus_one(g, k), abs=7e-15)


def test_the_errata_of_the_listing_are_so() -> None:
    g = np.array([0.25, 1.0, 0.5, 0.0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(listing_1.sloo_minus_one(g, 1)).all()
    assert not listing_1.s(np.array([0, 1, 0, 0]), 2).any()  # whole numbers stay whole
    assert listing_1.s(np.array([False, True, False]), 2).all()
    assert not listing_1.s(g, 5).any()  # k above n
    assert np.array_equal(listing_1.sloo(g, 4), listing_1.s(g, 4))  # k at n: no baseline
    longer = g * 1.0
    with pytest.raises(ValueError, match="broadcast"):
        longer[: -(4 - 1)] += g[1:]  # line 40 as it is printed
