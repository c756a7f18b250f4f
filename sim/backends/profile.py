"""Profiles: how slow and how faulty a backend is, each number with what it rests on.

A profile is a TOML file. Its top level has `name` and `title`; everything else is one table per number, with the
value and its `basis`, a sentence that says where it comes from:

    name = "claimed"
    title = "the backend under which the claim holds"

    [cancel_seconds]
    basis = "chosen so that ..."
    kind = "lognormal"          # a distribution of seconds, see relaysim.sim.kernel.distributions
    median = 0.62
    sigma = 1.05

    [stuck_probability]
    basis = "..."
    value = 0.01                # a plain number

A number without a basis is refused. A profile may say only what differs from another one (`extends = "typical"`, see
`read_profile_table`). Scenarios may override numbers one by one (`overrides` of `load_profile`).

Rate limits, failures and the switches named `unproven` are off unless a profile turns them on; of the shipped ones only
`bad_day` and `outage` do so, and no shipped profile touches what is unproven.
"""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from relaysim.sim.kernel.distributions import Distribution
from relaysim.sim.toml_file import read_toml

PROFILE_FOLDER: Final = Path(__file__).parent / "profiles"

OVERRIDE_BASIS: Final = "set by the scenario"

_WORDS: Final = ("name", "title", "basis")


class Profile(BaseModel):
    """Latencies and fault rates of one backend. Durations are distributions of seconds.

    In Python, values may be given directly (`stuck_probability=0.01`) with one `basis` mapping beside them; from a
    file each value is a table that carries its own `basis`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="what scenarios call it")
    title: str = Field(min_length=1, description="one line for people")
    queue_seconds: Distribution = Field(description="from a run's creation to in_progress")
    run_seconds: Distribution = Field(description="from in_progress to completed")
    cancel_seconds: Distribution = Field(description="from an accepted cancel to the freed thread")
    stuck_probability: float = Field(ge=0, le=1, description="share of runs that never finish by themselves")
    stuck_cancel_seconds: Distribution | None = Field(
        default=None, description="from the cancel of a stuck run to the freed thread; absent: only expiry frees it"
    )
    cancel_completes_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of cancelled runs that complete instead; that it happens at all is inferred",
    )
    request_seconds: Distribution = Field(description="one API request, from leaving to the answer's arrival")
    slow_probability: float = Field(ge=0, le=1, description="share of API requests that take slow_seconds instead")
    slow_seconds: Distribution | None = Field(default=None, description="duration of those slow, successful requests")
    request_arrival_fraction: float = Field(
        ge=0, le=1, description="share of a request's duration that passes before the server processes it"
    )
    redis_seconds: Distribution = Field(description="one Redis round trip")
    redis_pause_probability: float = Field(ge=0, le=1, description="share of Redis commands that meet a pause")
    redis_pause_seconds: Distribution | None = Field(default=None, description="length of such a pause")
    send_seconds: Distribution = Field(description="sending one text to the customer")
    webhook_seconds: Distribution = Field(description="from a customer's message to the webhook's arrival")
    failure_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of runs that fail with server_error instead of completing"
    )
    rate_limited_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of runs that fail with rate_limit_exceeded instead of completing: the model's own limit, met "
        "inside a run",
    )
    filtered_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of runs whose reply the content filter cuts off half-way"
    )
    several_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of runs that write two messages instead of one"
    )
    first_token_fraction: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of run_seconds that passes before the first token of a streamed reply; the default is assumed",
    )
    gets_per_minute: int | None = Field(
        default=None, ge=1, description="requests by GET that are let in per minute; absent: no limit"
    )
    posts_per_minute: int | None = Field(
        default=None, ge=1, description="requests by POST that are let in per minute; absent: no limit"
    )
    runs_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="creations of runs that are let in per minute, each a POST too; absent: no limit",
    )
    deletes_per_minute: int | None = Field(
        default=None, ge=1, description="requests by DELETE that are let in per minute; absent: no limit"
    )
    tokens_per_minute: int | None = Field(
        default=None, ge=1, description="tokens of created runs that are let in per minute; absent: no limit"
    )
    lock_linger_seconds: Distribution | None = Field(
        default=None,
        description="unproven: for how long a run that has finished still locks its thread; that it does so at all is not "
        "known. Absent: not at all",
    )
    stale_read_seconds: Distribution | None = Field(
        default=None,
        description="unproven: for how long retrieving a run still shows the state that it has left; known from one report "
        "on a related API, for this one not. Absent: not at all",
    )
    list_lag_seconds: Distribution | None = Field(
        default=None,
        description="unproven: for how long lists of runs show a run not at all, or in the state that it has left; whether "
        "they are consistent at once is not known. Absent: they are",
    )
    basis: dict[str, str] = Field(description="per number, what it rests on")

    @model_validator(mode="before")
    @classmethod
    def _split_basis(cls, data: Any) -> Any:
        """Take each table's `basis` (and a plain number's `value`) out of the table."""
        if not isinstance(data, Mapping):
            return data
        basis = dict(data.get("basis") or {})
        plain: dict[str, Any] = {}
        for key, value in data.items():
            if key == "basis":
                continue
            if key not in _WORDS and isinstance(value, Mapping):
                table = dict(value)
                if "basis" in table:
                    basis[key] = table.pop("basis")
                plain[key] = table["value"] if set(table) == {"value"} else table
            else:
                plain[key] = value
        return {**plain, "basis": basis}

    @field_validator("basis")
    @classmethod
    def _every_number_has_one(cls, basis: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        # A field validator, because it also runs when other fields are wrong: all mistakes at once.
        numbers = [name for name in cls.model_fields if name not in _WORDS]
        unlike_default = [
            name for name in numbers if name in info.data and info.data[name] != cls.model_fields[name].default
        ]
        missing = [name for name in unlike_default if not basis.get(name, "").strip()]
        if missing:
            raise ValueError(f"every number needs a basis that says what it rests on; without one: {missing}")
        stray = sorted(set(basis) - set(numbers))
        if stray:
            raise ValueError(f"a basis is given for what is no number of a profile: {stray}")
        return basis

    @model_validator(mode="after")
    def _durations_for_probabilities(self) -> Profile:
        for probability, seconds in (
            ("slow_probability", "slow_seconds"),
            ("redis_pause_probability", "redis_pause_seconds"),
        ):
            if getattr(self, probability) > 0 and getattr(self, seconds) is None:
                raise ValueError(f"{seconds} is needed because {probability} is above 0")
        return self


def shipped_profiles() -> tuple[str, ...]:
    """The names `load_profile` knows without a path."""
    return tuple(sorted(path.stem for path in PROFILE_FOLDER.glob("*.toml")))


class ExtendsError(ValueError):
    """What a profile extends cannot be used; the message says which file says so, and why."""


def read_profile_table(name_or_path: str | Path) -> dict[str, Any]:
    """The raw tables of a shipped profile, or of a file whose path ends in `.toml`, with those that it extends.

    A profile `extends` a shipped one, or a file, relative to its own; its tables take the place of that one's. A table
    without a `kind` changes single parameters of the distribution that it finds. `name`, `title` and each `basis` are its
    own.

    Raises:
        FileNotFoundError: no such name or file; the message lists the shipped names.
        tomllib.TOMLDecodeError: the file is no TOML.
        ExtendsError: what it extends is not there, is no TOML, or extends it in turn.
    """
    return _extended(_read_table(name_or_path), str(name_or_path), ())


def _extended(table: dict[str, Any], given: str, through: tuple[str, ...]) -> dict[str, Any]:
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise ExtendsError(f"{given}: extends: must be a profile's name or a path that ends in .toml, not {parent!r}")
    path = os.path.normpath(Path(given).parent / parent) if parent.endswith(".toml") else parent
    if path in (*through, given) or len(through) > _EXTENDS_MAX:
        raise ExtendsError(f"{given}: extends: goes round in a circle: {' -> '.join((*through, given, path))}")
    try:
        below = _extended(_read_table(path), path, (*through, given))
    except FileNotFoundError as error:
        said = f"there is no file {path}" if parent.endswith(".toml") else str(error)
        raise ExtendsError(f"{given}: extends: {said}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ExtendsError(f"{given}: extends: {path} cannot be read: {error}") from error
    return {**{key: value for key, value in below.items() if key not in _WORDS}, **_with_parameters(below, table)}


_EXTENDS_MAX: Final = 20


def _with_parameters(below: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The table, with the parameters of the distributions in which it changes single ones."""
    result = dict(table)
    for key, value in table.items():
        old = below.get(key)
        if (
            isinstance(value, Mapping)
            and isinstance(old, Mapping)
            and "kind" in old
            and not {"kind", "value"} & set(value)
        ):
            result[key] = {**_kept(old, value, leaving=("basis",)), **value}
    return result


def _kept(old: Mapping[str, Any], new: Mapping[str, Any], leaving: tuple[str, ...] = ()) -> dict[str, Any]:
    """The parameters of a distribution that stay where others take their place: of its spread there is one."""
    gone = {*leaving, *(_SPREADS if _SPREADS & set(new) else ())}
    return {name: part for name, part in old.items() if name not in gone}


_SPREADS: Final = frozenset({"sigma", "p90", "p95", "p99"})


def _read_table(name_or_path: str | Path) -> dict[str, Any]:
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = PROFILE_FOLDER / f"{name_or_path}.toml"
        if not path.is_file():
            raise FileNotFoundError(
                f"no profile named {str(name_or_path)!r}; shipped are {', '.join(shipped_profiles())}, "
                "or give a path that ends in .toml"
            )
    return read_toml(path)


def override(table: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a profile's raw table with some of its numbers replaced.

    A plain number replaces a number. A table with a `kind` replaces a distribution; one without changes single
    parameters of the one that is there (`{"median": 1.0}`); giving `sigma`, `p90`, `p95` or `p99` takes the place of
    whichever of them was there. `None` takes an optional number away. The basis becomes "set by the scenario" unless
    the override brings its own.
    """
    result: dict[str, Any] = copy.deepcopy(dict(table))
    for key, value in overrides.items():
        if key in _WORDS:
            result[key] = copy.deepcopy(value)
            continue
        if value is None:
            result.pop(key, None)
            continue
        if not isinstance(value, Mapping):
            result[key] = {"value": value, "basis": OVERRIDE_BASIS}
            continue
        old = result.get(key)
        new = copy.deepcopy(dict(value))
        if "kind" not in new and isinstance(old, Mapping):
            new = {**_kept(old, new), "basis": OVERRIDE_BASIS, **new}
        new.setdefault("basis", OVERRIDE_BASIS)
        result[key] = new
    return result


def load_profile(
    name_or_path: str | Path, overrides: Mapping[str, Any] | None = None, model: type[Profile] = Profile
) -> Profile:
    """A shipped profile by name (`claimed`, `typical`, `bad_day`, `outage`), or a file's, with overrides as in `override`.

    `model` is the backend's, see `relaysim.sim.backends.protocol.Backend.profile`.

    Raises:
        FileNotFoundError: no such profile.
        tomllib.TOMLDecodeError: the file is no TOML.
        pydantic.ValidationError: all its mistakes at once.
    """
    return model.model_validate(override(read_profile_table(name_or_path), overrides or {}))
