"""Settings of a simulated API as a test gives them: a table, with mistakes in the words of whoever wrote it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.replies import CallableReplies, EchoReplies, ScriptedReplies
from relaysim.sim.doors.given_replies import GivenReplies, replier_of
from relaysim.sim.doors.server.control_errors import problems_of
from relaysim.sim.doors.simulation import ApiSettings


class GivenSettingsError(ValueError):
    """A test's settings have mistakes; the message names each, and how to put it right."""


class GivenSettings(NamedTuple):
    """Checked settings, and the replies that settings cannot hold: a text, a sequence, a function; None: there are none."""

    settings: ApiSettings
    replies: GivenReplies | None


def settings_of(given: Mapping[str, Any], *folders: Path) -> GivenSettings:
    """The settings that a table means.

    Args:
        given: fields of `ApiSettings`; `replies` may also be whatever `ApiHandle.reply_with` takes. Any assistant's id is
            known unless `assistants` says otherwise.
        folders: where a relative path of a profile is looked for, before the working directory.

    Raises:
        GivenSettingsError: any mistake; those in the profile are found by whoever loads it.
    """
    table: dict[str, Any] = {"assistants": "any", **given}
    replies = table.get("replies")
    if replies is not None and not (
        isinstance(replies, EchoReplies | ScriptedReplies | CallableReplies)
        or (isinstance(replies, Mapping) and "kind" in replies)
    ):
        del table["replies"]
        try:
            replier_of(replies)
        except (TypeError, ValueError) as error:
            raise GivenSettingsError(str(error)) from None
    else:
        replies = None
    profile = table.get("profile")
    if isinstance(profile, str | Path) and str(profile).endswith(".toml"):
        places = (folder / profile for folder in folders)
        table["profile"] = str(next((place for place in places if place.is_file()), profile))
    try:
        return GivenSettings(ApiSettings.model_validate(table), replies)
    except ValidationError as error:
        raise GivenSettingsError(_words(error, ApiSettings)) from None


@contextmanager
def profile_errors_reworded(settings: ApiSettings) -> Iterator[None]:
    """Around whatever loads the settings' profile: its mistakes become a `GivenSettingsError`."""
    try:
        yield
    except (FileNotFoundError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise GivenSettingsError(f"profile {settings.profile}: {_words(error, Profile)}") from None


def _words(error: Exception, model: type[BaseModel]) -> str:
    if isinstance(error, ValidationError):
        problems = problems_of(error.errors(include_url=False), model)
        # An unknown number of a profile is told once, and not again for its basis.
        shown = [problem for problem in problems if problem.where != "basis"] or problems
        return "; ".join(map(str, shown))
    return str(error)
