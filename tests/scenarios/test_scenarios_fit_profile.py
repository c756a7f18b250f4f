"""Goal: the profile that is written gives what the report says was fitted, so no run is stuck twice.

Method: the endings of a log, the report's fitted shares, the written profile in closed form, and whole worlds of it.
"""

from __future__ import annotations

import json
import math
import random
import tomllib
from pathlib import Path
from typing import Any

import numpy
import pytest
from fit_logs import Backend, relay_log

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.tune import closed_form
from relaysim.sim.backends.profile import Profile, load_profile, override, read_profile_table
from relaysim.sim.world import Session, run_world

WAITS = (2.0, 4.0)
STUCK = {"stuck_probability": {"value": 0.1, "basis": "chosen high, so that it shows if it counts twice"}}
IN_CANCELS = "stuck runs are in cancel_seconds, which was fitted from all endings"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(text: str) -> tuple[dict[str, Any], Profile]:
    """Results and profile of a log, the base profile having a tenth of its runs stuck."""
    from relaysim.scenarios.fit.profile_file import profile_text

    Path("relay.log").write_text(text, encoding="utf-8")
    base = profile_text(override(read_profile_table("typical"), STUCK), "a tenth stuck")
    Path("base.toml").write_text(base, encoding="utf-8")
    assert main(["fit", "relay.log", "--profile-from", "base.toml", "--quiet", "--out", "out"]) == 0
    return json.loads(Path("out/results.json").read_text(encoding="utf-8")), load_profile("out/profile.toml")


def fitted_shares(results: dict[str, Any]) -> dict[str, float]:
    return {each["ending"]: each["profile"] for each in results["conflicts"]["endings"]}


def shares_in_closed_form(profile: Profile, waits: tuple[float, ...]) -> list[float]:
    """Of all conflicts, those that are not through after each retry."""
    backend, source = closed_form.Backend.of(profile), random.Random(1)

    def latencies() -> Any:
        ranks = [(node + 0.5) / 4096 for node in range(4096)]
        source.shuffle(ranks)
        return numpy.array([profile.request_seconds.sampler(each) for each in ranks])

    at: Any = 0.0
    left = []
    for retry, wait in enumerate(waits, 1):
        cancel, append = latencies(), latencies()
        at = at + (cancel if retry > 1 else (1 - backend.arrival) * cancel) + wait
        left.append(float(closed_form.survival(backend, at + backend.arrival * append).mean()))
        at = at + append
    return left


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        (Backend(0.62, 1.05, stuck=0.1), "lognormal"),
        (Backend(0.6, 0.7, stuck=0.1, waits=(1.0, 1.0, 1.0, 2.0, 4.0)), "mixture"),
    ],
    ids=["two retries", "a share of their own"],
)
def test_the_written_profile_gives_the_fitted_shares(backend: Backend, kind: str) -> None:
    results, profile = fit(relay_log(backend, 3000, 4))
    assert profile.cancel_seconds.kind == kind
    assert (profile.stuck_probability, profile.basis["stuck_probability"]) == (0.0, IN_CANCELS)
    waits = tuple(backend.waits)[:-1]
    left = shares_in_closed_form(profile, waits)
    shares = fitted_shares(results)
    assert math.isclose(left[-1], shares["failed"], abs_tol=2e-3)
    assert math.isclose(1 - left[0], shares["recovered_at_2"], abs_tol=4e-3)
    assert math.isclose(left[0] - left[1], shares["recovered_at_3"], abs_tol=4e-3)


def runs_told(count: int, stuck: int) -> str:
    """Events of so many runs; each of the stuck ones was given up after a minute."""
    lines = []
    for number in range(count):
        head = '{"timestamp": "2025-11-05T12:00:00.000000Z", "level": "info", "event": '
        about = f'"conversation": "{number:08x}", "run": "run_told{number}"'
        if number < stuck:
            lines.append(f'{head}"lost_reply", {about}, "reason": "given_up"}}')
        else:
            seconds = 4.0 + 12.0 * (number % 50) / 50
            lines.append(f'{head}"run_ended", {about}, "status": "completed", "seconds": {seconds:.3f}}}')
    return "\n".join(lines) + "\n"


def test_a_share_of_runs_that_never_end_keeps_the_fitted_shares_too() -> None:
    text = relay_log(Backend(0.62, 1.05, stuck=0.1), 3000, 4) + runs_told(2000, 100)
    results, profile = fit(text)
    assert math.isclose(profile.stuck_probability, 0.05, abs_tol=0.01)
    assert profile.basis["stuck_probability"].startswith("fitted from 2,000 runs")
    assert profile.stuck_cancel_seconds == profile.cancel_seconds
    assert "cancel_seconds" in profile.basis["stuck_cancel_seconds"]
    assert math.isclose(shares_in_closed_form(profile, WAITS)[-1], fitted_shares(results)["failed"], abs_tol=2e-3)


def test_whole_worlds_of_the_written_profile_fail_as_often_as_was_fitted() -> None:
    results, _ = fit(relay_log(Backend(0.62, 1.05, stuck=0.1), 3000, 4))
    scenario = load("incident_typical", ["profile=out/profile.toml"])
    settings = scenario.world_settings()
    endings = {"recovered_at_2": 0, "recovered_at_3": 0, "failed": 0}
    with Session():
        for seed in range(400):
            world = run_world(settings, root_seed=1, seed=seed, lane="direct", keep_trace=True)
            assert world.records is not None
            for _, _, kind, fields in world.records:
                if kind == "log":
                    endings["recovered_at_2"] += "successfully (attempt 2)" in fields[2]
                    endings["recovered_at_3"] += "successfully (attempt 3)" in fields[2]
                    endings["failed"] += "Failed to create message after 3" in fields[2]
    n = sum(endings.values())
    assert n >= 390
    for ending, share in fitted_shares(results).items():
        # Four standard deviations; a tenth of stuck runs counted twice are six.
        assert abs(endings[ending] - n * share) < 4 * math.sqrt(n * share * (1 - share)), ending


def test_stuck_runs_that_the_log_rules_out_are_taken_away() -> None:
    results, profile = fit("[OpenAI] Message created successfully (attempt 2)\n" * 15)
    assert profile.stuck_probability == 0
    assert profile.cancel_seconds == load_profile("typical").cancel_seconds
    assert "stuck runs contradict the log" in results["numbers"][0]["said"]


def test_numbers_that_were_not_fitted_keep_their_stuck_runs() -> None:
    _, profile = fit("[OpenAI] Message created successfully (attempt 2)\n" * 8)
    assert profile.stuck_probability == 0.1
    assert tomllib.loads(Path("out/profile.toml").read_text(encoding="utf-8"))["stuck_probability"] == {
        "basis": STUCK["stuck_probability"]["basis"],
        "value": 0.1,
    }
    assert numpy.isclose(closed_form.survival(closed_form.Backend.of(profile), numpy.array([500.0]))[0], 0.1)
