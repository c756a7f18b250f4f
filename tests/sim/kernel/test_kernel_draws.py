"""Keyed draws depend on what they are for, and on nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from relaysim.sim.kernel import ConditionedDraws, Draws
from relaysim.sim.kernel.distributions import Distribution, LogNormal

DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)


def test_draws_are_the_documented_function_of_their_key() -> None:
    # Frozen: a change here re-rolls every world and every fingerprint.
    draws = Draws(20251104, 7)
    assert draws.uniform("w1", "latency", 0) == 0.8210937229836698
    assert draws.token("thread", "id", 24, 0) == "4UgMjWvAhNaHvMbwxX4wPO69"


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]), st.integers(0, 3)), max_size=20))
def test_the_order_of_asking_changes_nothing(keys: list[tuple[str, str, int]]) -> None:
    forwards = Draws(1, 2)
    backwards = Draws(1, 2)
    assert [forwards.uniform(*key) for key in keys] == [backwards.uniform(*key) for key in reversed(keys)][::-1]


def test_without_an_index_each_pair_counts_for_itself() -> None:
    counted = Draws(1, 2)
    values = [counted.uniform("a", "x"), counted.uniform("b", "x"), counted.uniform("a", "x")]
    plain = Draws(1, 2)
    assert values == [plain.uniform("a", "x", 0), plain.uniform("b", "x", 0), plain.uniform("a", "x", 1)]


@given(st.integers(), st.integers())
def test_uniforms_lie_in_the_open_interval(root: int, index: int) -> None:
    assert 0.0 < Draws(root, 0).uniform("e", "p", index) < 1.0


def test_uniforms_look_uniform() -> None:
    draws = Draws(3, 4)
    values = sorted(draws.uniform("e", "p", index) for index in range(10_000))
    # Kolmogorov-Smirnov; 1.95/sqrt(n) is passed by a fair generator 99.9 % of the time, and the key is fixed.
    distance = max(abs(value - index / 10_000) for index, value in enumerate(values))
    assert distance < 0.0195


@pytest.mark.parametrize("length", [0, 86])
def test_a_token_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 85"):
        Draws(1, 1).token("a", "b", length)


def test_a_log_normal_is_the_same_by_sigma_and_by_quantile() -> None:
    by_p99 = LogNormal(kind="lognormal", median=0.3, p99=2.0)
    assert by_p99.sample(0.99) == pytest.approx(2.0)
    assert LogNormal(kind="lognormal", median=0.3, sigma=by_p99.log_sigma).sample(0.7) == by_p99.sample(0.7)
    assert by_p99.log_sigma == pytest.approx(math.log(2 / 0.3) / 2.3263478740408408)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "lognormal", "median": 0.3}, "exactly one of"),
        ({"kind": "lognormal", "median": 0.3, "sigma": 1, "p99": 2}, "exactly one of"),
        ({"kind": "lognormal", "median": 3, "p99": 2}, "above the median"),
        ({"kind": "uniform", "low": 3, "high": 2}, "must not be below"),
        ({"kind": "constant", "value": -1}, "greater than or equal"),
        ({"kind": "mixture", "parts": []}, "at least 1"),
    ],
)
def test_impossible_distributions_are_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DISTRIBUTION.validate_python(table)


@given(st.integers(0, 2**40), st.sampled_from([(0.0, 0.005), (0.005, 1.0), (0.25, 0.75), (0.0, 2.0**-60)]))
def test_a_conditioned_uniform_stays_in_its_part_and_moves_nothing_else(seed: int, part: tuple[float, float]) -> None:
    plain, conditioned = Draws(1, seed), ConditionedDraws(1, seed)
    conditioned.condition("run", "stuck", 0, *part)
    drawn = conditioned.uniform("run", "stuck", 0)
    assert part[0] < drawn < part[1]
    place = (drawn - part[0]) / (part[1] - part[0])
    assert place == pytest.approx(plain.uniform("run", "stuck", 0), abs=1e-12)
    for key in (("run", "stuck", 1), ("run", "other", 0), ("runs", "stuck", 0)):
        assert conditioned.uniform(*key) == plain.uniform(*key)
    assert conditioned.octets("run", "stuck", 0) == plain.octets("run", "stuck", 0)
    assert conditioned.hits == 1


def test_a_conditioned_uniform_is_met_by_its_number_too() -> None:
    plain, conditioned = Draws(1, 2), ConditionedDraws(1, 2)
    conditioned.condition("a", "x", 1, 0.5, 1.0)
    assert conditioned.uniform("a", "x") == plain.uniform("a", "x")
    assert conditioned.uniform("a", "x") == pytest.approx((1 + plain.uniform("a", "x")) / 2)
    assert conditioned.uniform("a", "x") == plain.uniform("a", "x")


@pytest.mark.parametrize("part", [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_a_part_that_is_none_is_refused(part: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a part of the range from 0 to 1 is needed"):
        ConditionedDraws(1, 2).condition("a", "x", 0, *part)
