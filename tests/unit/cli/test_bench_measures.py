"""The arithmetic of the benchmarks, against numpy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferd.cli.bench.measures import Goodput, arrivals, curve, fit_line, percentile, summary
from inferd.errors import UsageError


@pytest.mark.parametrize("percent", [0, 1, 50, 90, 99, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_percentiles_are_numpys(percent, count):
    values = np.random.default_rng(count).lognormal(size=count).tolist()
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


def test_a_summary_has_the_mean_and_three_percentiles():
    assert summary([3.0, 1.0, 2.0]) == {"mean": 2.0, "p50": 2.0, "p90": 2.8, "p99": 2.98}
    assert summary([]) is None


def test_a_curve_goes_from_the_least_to_the_most():
    points = curve([float(i) for i in range(101)])
    assert (points[0], points[1], points[-2], points[-1]) == ((0, 0), (5, 5), (99, 99), (100, 100))
    assert curve([]) == []


def test_the_line_is_fitted_and_needs_two_contexts():
    assert fit_line([100, 300, 500], [3.0, 7.0, 11.0]) == pytest.approx((1.0, 0.02))
    assert fit_line([64, 64], [1.0, 2.0]) is None


def test_poisson_gaps_are_exponential_with_the_rates_mean():
    times = arrivals(20_001, 8.0, "poisson", seed=1)
    gaps = np.diff(times)
    assert times[0] == 0.0 and (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1 / 8, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 8, rel=0.05)  # as for no other common distribution
    assert (gaps > 1 / 8).mean() == pytest.approx(math.exp(-1), abs=0.02)


def test_arrivals_depend_on_the_seed_only():
    assert arrivals(9, 2.0, "poisson", 3) == arrivals(9, 2.0, "poisson", 3)
    assert arrivals(9, 2.0, "poisson", 3) != arrivals(9, 2.0, "poisson", 4)


def test_fixed_and_infinite_rates():
    assert arrivals(4, 2.0, "fixed", 0) == [0.0, 0.5, 1.0, 1.5]
    assert arrivals(3, math.inf, "poisson", 0) == [0.0, 0.0, 0.0]
    assert len(arrivals(1, 2.0, "poisson", 0)) == 1


def test_goodput_needs_every_limit():
    goodput = Goodput.parse(["ttft:500", "tpot:50"])
    assert goodput.holds({"ttft": 500.0, "tpot": 50.0, "e2el": 9e9})
    assert not goodput.holds({"ttft": 501.0, "tpot": 1.0, "e2el": 1.0})
    assert not goodput.holds({"ttft": 1.0, "tpot": 51.0, "e2el": 1.0})
    assert goodput.holds({"ttft": 1.0, "tpot": None, "e2el": 1.0})  # one token has no TPOT
    assert Goodput.parse([]) is None


@pytest.mark.parametrize(
    "word", ["ttft", "ttft:", "ttft:x", "ttft:0", "ttft:-1", "itl:5", "ttft:nan"]
)
def test_a_bad_goodput_shows_a_good_one(word):
    with pytest.raises(UsageError, match=r"ttft:500 tpot:50"):
        Goodput.parse([word])
