"""Profiles: shipped files load, every number has a basis, mistakes come all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai_world import flat_profile
from pydantic import ValidationError

from sim.openai.profile import (
    OVERRIDE_BASIS,
    PROFILE_FOLDER,
    Profile,
    load_profile,
    read_profile_table,
    shipped_profiles,
)


def test_shipped_profiles_load() -> None:
    assert shipped_profiles() == ("claimed", "typical")
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
    with pytest.raises(FileNotFoundError, match="claimed, typical"):
        load_profile("claimd")
    with pytest.raises(FileNotFoundError):
        load_profile("nowhere/mine.toml")
