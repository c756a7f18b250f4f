"""A fresh world in place of the present one."""

from __future__ import annotations

import tomllib
from typing import Any

from pydantic import ValidationError

from relaysim.sim.backends.profile import Profile
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_errors import Problem, invalid, problems_of
from relaysim.sim.doors.server.control_faults import check_faults
from relaysim.sim.doors.server.control_models import Reset
from relaysim.sim.doors.server.control_replies import allowed
from relaysim.sim.doors.simulation import ApiSettings


def reset(server: SimulatedServer, body: Reset | None) -> None:
    """Begin a fresh world with the settings of the one before, except what is given.

    Raises:
        ControlError: the profile cannot be used, or the replies are code; then nothing has changed.
    """
    settings = server.api.settings
    if body is not None:
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if "replies" in given:
            given["replies"] = allowed(body.replies, settings.replies)
        if "overrides" in given:
            given["overrides"] = {name: _as_number(name, value) for name, value in body.overrides.items()}
        if given.get("api", settings.api) != settings.api:
            message = f"a server simulates one API, and this one the {server.api.backend.title}"
            raise invalid([Problem(where="api", message=message, fix="start another server")])
        check_faults(server, given.get("faults", ()), "faults[{}].route")
        if given.get("events") is not None and not server.api.backend.has_events:
            message = f"the simulated {server.api.backend.title} tells of nothing by itself"
            raise invalid([Problem(where="events", message=message, fix="leave it out")])
        settings = settings.model_copy(update=given)
    try:
        server.reset(settings)
    except ValidationError as error:
        raise invalid(_profile_problems(error, settings)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise invalid([Problem(where="profile", message=_unreadable(error, settings.profile), fix="")]) from None


def _as_number(name: str, value: Any) -> Any:
    """As in scenario files, a plain number stands for a distribution that is constant."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return {"kind": "constant", "value": value} if plain and name.endswith("_seconds") else value


def _unreadable(error: Exception, profile: str) -> str:
    if isinstance(error, OSError):
        # Of a name without a file the message says which names there are; of a path it is the system's.
        return str(error) if error.strerror is None else f"{profile} cannot be read: {error.strerror.lower()}"
    return f"{profile} is no TOML: {error}"


def _profile_problems(error: ValidationError, settings: ApiSettings) -> list[Problem]:
    mistakes = [each for each in error.errors(include_url=False) if each["loc"] != ("basis",)]
    problems = []
    for mistake in mistakes or error.errors(include_url=False):  # a stray number lacks a basis too, as does a wrong one
        first = mistake["loc"][:1]
        where = "overrides" if first and first[0] in settings.overrides else "profile"
        problems += problems_of([mistake], Profile, [where])
    return problems
