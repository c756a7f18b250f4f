"""Goal: a log with too few conflicts for two numbers still gives a profile that does not contradict it.

Method: logs of a known backend, fitted on base profiles of the same shape and of very different times.
"""

from __future__ import annotations

import math
import random
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_logs import Backend, relay_log
from scipy.stats import binomtest

from relaysim.reports.answers.of_fit import answer_of_fit
from relaysim.reports.fit_words import notes, numbers_words
from relaysim.scenarios.fit.estimates import Estimates, estimate
from relaysim.scenarios.fit.likelihood import CONFIDENCE, Observation, fit_scale
from relaysim.scenarios.fit.log_results import fit_results
from relaysim.scenarios.fit.reading import read_logs
from relaysim.scenarios.tune.closed_form import cdf
from relaysim.sim.backends.profile import Profile, load_profile
from relaysim.sim.kernel.distributions import LogNormal, Mixture, Part, Uniform

SIGMA = 1.05


def base(median: float, **changes: Any) -> Profile:
    """The profile `claimed` with another time from a cancel to the freed thread."""
    claimed = load_profile("claimed")
    table = {"kind": "lognormal", "median": median, "sigma": SIGMA}
    return Profile.model_validate({**claimed.model_dump(exclude_none=True), "cancel_seconds": table, **changes})


def fitted(tmp_path: Path, text: str, profile: Profile) -> tuple[Estimates, dict[str, Any]]:
    path = tmp_path / "relay.log"
    path.write_text(text, encoding="utf-8")
    reading = read_logs([str(path)])
    estimates = estimate(reading, profile)
    return estimates, fit_results(reading, estimates, profile.name, "0")


def shares(results: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """By ending: what the profile expects, and the log's interval."""
    return {each["ending"]: (each["profile"], *each["interval"]) for each in results["conflicts"]["endings"]}


@pytest.mark.parametrize("median", [0.02, 0.62, 30.0])
def test_two_shares_give_one_number_in_the_shape_of_the_base(tmp_path: Path, median: float) -> None:
    # 25 conflicts, 23 at attempt 2 and 2 at attempt 3.
    text = relay_log(Backend(0.62, SIGMA), 25, 3)
    estimates, results = fitted(tmp_path, text, base(median))
    cancel = estimates.of("cancel_seconds")
    assert cancel.status == "scaled"
    assert cancel.scale is not None
    assert cancel.scale.low is not None
    assert cancel.scale.high is not None
    assert cancel.scale.low < 0.62 / median < cancel.scale.high
    assert cancel.table == {
        "kind": "lognormal",
        "median": pytest.approx(cancel.scale.value * median, rel=1e-3),
        "sigma": SIGMA,
    }
    assert all(low <= expected <= high for expected, low, high in shares(results).values())
    answer = answer_of_fit(results)
    assert "cancel_seconds" in " ".join([answer.title, *answer.found])
    assert numbers_words(results["numbers"][0]).startswith("times ")
    assert not any("does not agree" in each for each in notes(results))


def test_the_scale_is_inside_its_interval_as_often_as_promised() -> None:
    """Conflicts looked at after 2 s, 6 s and never again, some of them only seen if they outlasted the first 0.3 s."""
    source = random.Random(11)
    shape = LogNormal(kind="lognormal", median=2.0, sigma=SIGMA)
    ends = ((0.3, 2.0), (2.0, 6.0), (6.0, math.inf))

    @cache  # many logs have the same counts
    def is_inside(*counts: int) -> bool:
        observations = [
            Observation((low,), (high,), count, (0.3,))
            for (low, high), count in zip(ends, counts, strict=True)
            if count
        ]
        scale = fit_scale(observations, partial(cdf, shape))
        return (scale.low or 0.0) <= 0.6 <= (scale.high or math.inf)

    inside, logs = 0, 400
    for _ in range(logs):
        counts = [0, 0, 0]
        for _ in range(25):
            while (seconds := shape.scaled(0.6).sample(source.random())) <= 0.3:
                pass
            counts[0 if seconds <= 2 else 1 if seconds <= 6 else 2] += 1
        inside += is_inside(*counts)
    assert binomtest(inside, logs, CONFIDENCE).pvalue > 0.001


@pytest.mark.parametrize("conflicts", [8, 60])
def test_a_base_that_the_log_rules_out_is_moved_to_what_it_allows(tmp_path: Path, conflicts: int) -> None:
    quick = relay_log(Backend(0.01, 0.3), conflicts, 1)  # all over at the first retry
    estimates, results = fitted(tmp_path, quick, base(30.0))
    cancel = estimates.of("cancel_seconds")
    assert cancel.status == "bounded"
    assert cancel.table is not None
    assert 0.1 < cancel.table["median"] < 2.5
    assert "contradict the log, which allows at most" in cancel.basis
    ((expected, low, _),) = shares(results).values()
    assert expected > low
    assert numbers_words(results["numbers"][0]).endswith(", the most")
    kept, _ = fitted(tmp_path, quick, base(0.1))
    assert kept.of("cancel_seconds").status == "kept"


def test_a_log_of_nothing_but_failures_moves_a_quick_base(tmp_path: Path) -> None:
    estimates, results = fitted(tmp_path, relay_log(Backend(900.0, 0.2), 60, 1), base(0.62))
    cancel = estimates.of("cancel_seconds")
    assert cancel.status == "bounded"
    assert cancel.table is not None
    assert cancel.table["median"] > 10
    assert "at least" in cancel.basis
    ((expected, low, _),) = shares(results).values()
    assert expected >= low


def test_a_mixture_keeps_its_shape(tmp_path: Path) -> None:
    parts = (
        Part(weight=0.9, distribution=LogNormal(kind="lognormal", median=5.0, p95=20.0)),
        Part(weight=0.1, distribution=Uniform(kind="uniform", low=50.0, high=100.0)),
    )
    slow = base(1.0, cancel_seconds=Mixture(kind="mixture", parts=parts).model_dump(exclude_none=True))
    estimates, results = fitted(tmp_path, relay_log(Backend(0.5, SIGMA), 25, 3), slow)
    cancel = estimates.of("cancel_seconds")
    assert cancel.status == "scaled"
    assert cancel.scale is not None
    made = estimates.profile.cancel_seconds
    seconds = np.array([0.1, 0.5, 2.0, 8.0])
    assert cdf(made, seconds) == pytest.approx(cdf(slow.cancel_seconds, seconds / cancel.scale.value), abs=1e-3)
    assert all(low <= expected <= high for expected, low, high in shares(results).values())


def test_a_shape_that_cannot_agree_is_said_not_to(tmp_path: Path) -> None:
    # Every thread free after the same time: no such time puts some of them between the retries and some beyond the last.
    constant = base(1.0, cancel_seconds={"kind": "constant", "value": 600.0})
    text = relay_log(Backend(0.05, 0.3), 40, 1) + relay_log(Backend(900.0, 0.2), 40, 2)
    _, results = fitted(tmp_path, text, constant)
    assert any(each.startswith("profile.toml does not agree with the log: it has ") for each in notes(results))
