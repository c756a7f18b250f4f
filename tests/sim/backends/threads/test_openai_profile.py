"""Profiles: shipped files load, every number has a basis, mistakes come all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai_world import flat_profile
from pydantic import ValidationError

from relaysim.sim.backends.profile import (
    OVERRIDE_BASIS,
    PROFILE_FOLDER,
    Profile,
    load_profile,
    read_profile_table,
    shipped_profiles,
)


def test_shipped_profiles_load() -> None:
    assert shipped_profiles() == ("bad_day", "claimed", "outage", "typical")
    for name in shipped_profiles():
        profile = load_profile(name)
        assert profile.name == name
        assert set(profile.basis) == profile.model_fields_set - {"name", "title", "basis"}


def test_claimed_has_no_tails_and_typical_has() -> None:
    claimed, typical = load_profile("claimed"), load_profile("typical")
    assert (claimed.stuck_probability, claimed.slow_probability) == (0, 0)
    assert typical.slow_probability == 0.001
    assert typical.slow_seconds is not None
    assert (typical.slow_seconds.sample(1e-12), typical.slow_seconds.sample(1 - 1e-12)) == pytest.approx((30, 240))
    assert claimed.cancel_seconds.sample(0.999) < 20
    assert 5 < typical.cancel_seconds.sample(0.99) < 20


NEW = (
    "failure_probability",
    "first_token_fraction",
    "gets_per_minute",
    "posts_per_minute",
    "runs_per_minute",
    "deletes_per_minute",
    "tokens_per_minute",
    "lock_linger_seconds",
    "stale_read_seconds",
    "list_lag_seconds",
)
UNPROVEN = ("lock_linger_seconds", "stale_read_seconds", "list_lag_seconds")


def test_claimed_and_typical_are_as_they_were() -> None:
    for name in ("claimed", "typical"):
        assert not set(NEW) & load_profile(name).model_fields_set
    off = load_profile("claimed")
    assert off.failure_probability == 0
    assert all(getattr(off, name) is None for name in NEW if name.endswith(("_per_minute", "_seconds")))


def test_what_is_unproven_says_so_and_no_shipped_profile_turns_it_on() -> None:
    for name, field in Profile.model_fields.items():
        assert str(field.description).startswith("unproven: ") is (name in UNPROVEN)
    for name in shipped_profiles():
        assert not set(UNPROVEN) & load_profile(name).model_fields_set


def test_a_bad_day_is_slow_everywhere_and_has_the_documented_limits() -> None:
    bad, typical = load_profile("bad_day"), load_profile("typical")
    for name in ("queue_seconds", "run_seconds", "cancel_seconds", "request_seconds"):
        slower = [getattr(bad, name).sample(u) / getattr(typical, name).sample(u) for u in (0.5, 0.9, 0.99)]
        assert min(slower) > 1.1, name
    assert bad.stuck_probability > 0.02
    assert bad.failure_probability > 0.02
    limits = (bad.gets_per_minute, bad.posts_per_minute, bad.runs_per_minute, bad.deletes_per_minute)
    assert limits == (1000, 300, 200, 300)
    assert all(bad.basis[name].startswith("documented: ") for name in NEW if name in bad.basis and "per_minute" in name)


def test_in_an_outage_most_runs_are_lost_and_only_expiry_ends_a_cancel() -> None:
    outage = load_profile("outage")
    assert (1 - outage.stuck_probability) * (1 - outage.failure_probability) < 0.2
    assert outage.stuck_cancel_seconds is None
    assert outage.cancel_seconds.sample(1e-9) >= 600
    assert outage.request_seconds.sample(0.5) > 5


def test_every_basis_says_what_kind_it_is() -> None:
    kinds = ("assumed", "weak", "inferred", "documented", "documentation", "public", "by construction", "left out")
    for name in ("bad_day", "outage"):
        for number, basis in load_profile(name).basis.items():
            assert any(kind in basis for kind in kinds), (name, number)


@pytest.mark.parametrize(
    ("number", "value", "words"),
    [
        ("gets_per_minute", 0, "greater than or equal to 1"),
        ("posts_per_minute", 1.5, "integer"),
        ("runs_per_minute", -3, "greater than or equal to 1"),
        ("tokens_per_minute", "many", "integer"),
        ("first_token_fraction", 1.1, "less than or equal to 1"),
        ("failure_probability", -0.1, "greater than or equal to 0"),
        ("lock_linger_seconds", {"kind": "constant", "value": -1}, "greater than or equal to 0"),
        ("stale_read_seconds", 3, "dictionary"),
    ],
)
def test_new_numbers_are_checked(number: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load_profile("claimed", {number: value})
    (error,) = caught.value.errors()
    assert error["loc"][0] == number
    assert words in error["msg"]


def test_new_numbers_need_a_basis_when_a_file_gives_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text((PROFILE_FOLDER / "claimed.toml").read_text() + "\n[first_token_fraction]\nvalue = 0.5\n")
    with pytest.raises(ValidationError, match=r"without one: \['first_token_fraction'\]"):
        load_profile(file)
    file.write_text(file.read_text() + 'basis = "measured"\n')
    assert load_profile(file).first_token_fraction == 0.5


def test_a_number_without_basis_is_refused(tmp_path: Path) -> None:
    lines = (PROFILE_FOLDER / "claimed.toml").read_text().splitlines()
    file = tmp_path / "mine.toml"
    file.write_text("\n".join(line for line in lines if not line.startswith('basis = "weak')))
    with pytest.raises(ValidationError, match=r"without one: \['redis_seconds'\]"):
        load_profile(file)


def test_all_mistakes_at_once() -> None:
    table = read_profile_table("claimed")
    table["stuck_probability"]["value"] = 1.5
    table["run_seconds"]["median"] = -1
    table["speed"] = {"value": 1, "basis": "?"}
    del table["title"]
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(table)
    assert {error["loc"][0] for error in caught.value.errors()} == {
        "stuck_probability",
        "run_seconds",
        "speed",
        "title",
        "basis",
    }


def test_slow_requests_need_a_duration() -> None:
    with pytest.raises(ValidationError, match="slow_seconds is needed"):
        flat_profile(slow_probability=0.1)


def test_overrides() -> None:
    profile = load_profile(
        "claimed",
        {
            "cancel_seconds": {"median": 1.0},
            "run_seconds": {"kind": "constant", "value": 3.0},
            "request_seconds": {"sigma": 0.5},
            "stuck_probability": 0.25,
            "queue_seconds": {"low": 0.0, "basis": "measured here"},
        },
    )
    assert profile.cancel_seconds.model_dump(exclude_none=True) == {
        "kind": "lognormal",
        "median": 1.0,
        "sigma": read_profile_table("claimed")["cancel_seconds"]["sigma"],
    }
    assert profile.run_seconds.sample(0.5) == 3.0
    assert profile.request_seconds.model_dump(exclude_none=True) == {"kind": "lognormal", "median": 0.3, "sigma": 0.5}
    assert profile.stuck_probability == 0.25
    assert profile.basis["cancel_seconds"] == profile.basis["stuck_probability"] == OVERRIDE_BASIS
    assert profile.basis["queue_seconds"] == "measured here"
    assert load_profile("typical", {"slow_probability": 0.0, "slow_seconds": None}).slow_seconds is None
    assert load_profile("claimed") == load_profile("claimed", {})


def test_unknown_profile_names_the_shipped_ones() -> None:
    with pytest.raises(FileNotFoundError, match="bad_day, claimed, outage, typical"):
        load_profile("claimd")
    with pytest.raises(FileNotFoundError):
        load_profile("nowhere/mine.toml")
