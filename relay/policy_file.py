"""A policy and its settings from a file, so that what was tuned elsewhere is what runs in production.

    schema = 1
    policy = "cancel_and_retry"        # or another of this package, see `relaysim.relay`

    [settings]                         # as of the policy; those left out keep their defaults
    attempts = 4
    first_wait_seconds = 1.5

    [origin]                           # where the numbers come from, for people: nothing of it is read
    scenario = "incident"

The file is checked as a whole: one error names all that is wrong with it.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import redis.asyncio

from relaysim.relay.cancel_and_retry import cancel_and_retry
from relaysim.relay.cancel_and_retry_as_run import AsRunSettings, cancel_and_retry_as_run
from relaysim.relay.check_then_act import check_then_act
from relaysim.relay.drain import DrainSettings, drain
from relaysim.relay.messages import Policy, Sender
from relaysim.relay.policy_settings import RelaySettings, RetrySettings
from relaysim.relay.responses_waits import (
    LockWaitSettings,
    QuietWindowSettings,
    TurnSettings,
    chained,
    quiet_window,
    retry_on_lock,
)
from relaysim.relay.setting_rules import Settings, name_meant
from relaysim.relay.telemetry import Telemetry

SCHEMA: Final = 1
_BYTES_MAX: Final = 4_000_000


class Known(NamedTuple):
    """A policy of this package.

    factory   makes it
    settings  what it is set by
    apis      over which APIs it works: "threads", "responses"
    """

    factory: Callable[..., Policy]
    settings: type[Settings]
    apis: tuple[str, ...]


POLICIES: Final[Mapping[str, Known]] = {
    "check_then_act": Known(check_then_act, RelaySettings, ("threads",)),
    "cancel_and_retry": Known(cancel_and_retry, RetrySettings, ("threads",)),
    "cancel_and_retry_as_run": Known(cancel_and_retry_as_run, AsRunSettings, ("threads",)),
    "retry_on_lock": Known(retry_on_lock, LockWaitSettings, ("responses",)),
    "quiet_window": Known(quiet_window, QuietWindowSettings, ("responses",)),
    "chained": Known(chained, TurnSettings, ("responses",)),
    "drain": Known(drain, DrainSettings, ("threads", "responses")),
}
"""By the name that policy files use, which is also that of the factory."""
SHOWN_ONLY: Final[Mapping[str, tuple[str, ...]]] = {
    "retry_broken_stream": ("responses",),
    "cancel_for_newer": ("responses",),
    "answer_calls": ("responses",),
}
"""Policies that show one fault each, with the APIs over which they work. They are for scenarios and comparisons: they emit
no events, and no number of theirs decides what they lose, so that there is nothing to deploy or to tune."""
_KEYS: Final = ("schema", "policy", "settings", "origin")


class PolicyFileError(ValueError):
    """A policy file that cannot be used. `problems` has one line for each thing that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What a policy file says.

    policy    the name of the policy, which is also that of its factory in this package
    settings  as the file gives them, checked; what it leaves out keeps its default
    path      the file that was read
    """

    policy: str
    settings: Mapping[str, Any]
    path: Path

    def build(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        *,
        telemetry: Telemetry | None = None,
        **settings: Any,
    ) -> Policy:
        """The policy, ready to handle messages, with the file's settings.

        `settings` go before those of the file: what belongs to a deployment, e.g. `assistant_id`. Raises `ValueError`
        for wrong ones.
        """
        return POLICIES[self.policy].factory(
            openai_client, redis_client, send, telemetry=telemetry, **{**self.settings, **settings}
        )


def load_policy(path: str | os.PathLike[str]) -> PolicyFile:
    """Read and check a policy file.

    Raises:
        PolicyFileError: for a file that cannot be read, is no TOML, or is wrong; with all that is wrong.
    """
    document = _read(path)
    problems = [_unknown(key, _KEYS, "key") for key in document if key not in _KEYS]
    schema = document.get("schema")
    if "schema" not in document:
        problems.append(f"schema: is missing; write schema = {SCHEMA}")
    elif isinstance(schema, bool) or schema != SCHEMA:
        problems.append(f"schema = {schema!r}: must be {SCHEMA}, the only format that this version reads")
    problems += [
        f"{key} = {document[key]!r}: must be a table, [{key}]"
        for key in ("settings", "origin")
        if not isinstance(document.get(key, {}), dict)
    ]
    policy, settings = document.get("policy"), document.get("settings", {})
    if "policy" not in document:
        problems.append(f"policy: is missing; name one of {', '.join(POLICIES)}")
    elif isinstance(policy, str) and policy in SHOWN_ONLY:
        problems.append(f"policy = {policy!r}: shows a fault and is not for files; name one of {', '.join(POLICIES)}")
    elif not isinstance(policy, str) or policy not in POLICIES:
        problems.append(_unknown(policy, tuple(POLICIES), "policy"))
    elif isinstance(settings, dict):
        problems += [f"settings.{problem}" for problem in _setting_problems(policy, settings)]
    if problems:
        raise PolicyFileError([f"{os.fspath(path)}: {problem}" for problem in problems])
    assert isinstance(policy, str)
    return PolicyFile(policy, MappingProxyType(dict(settings)), Path(path))


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(_content(path).decode("utf-8"))
    except FileNotFoundError:
        problem = "there is no such file"
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or str(error)).lower()}"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"line {line} is not UTF-8, as TOML must be"
    except tomllib.TOMLDecodeError as error:
        problem = f"is no TOML: {error}"
    except RecursionError:
        problem = "is no policy: its tables or lists lie too deep inside each other"
    except ValueError as error:  # Python's limit of digits
        problem = f"has a number that cannot be read: {error}"
    raise PolicyFileError([f"{os.fspath(path)}: {problem}"])


def _content(path: str | os.PathLike[str]) -> bytes:
    if not Path(path).is_file() and not Path(path).is_dir() and Path(path).exists():
        raise OSError(0, "is no file with a policy in it")
    with Path(path).open("rb") as file:
        content = file.read(_BYTES_MAX + 1)
    if len(content) > _BYTES_MAX:
        raise OSError(0, f"it has more than {_BYTES_MAX:,} bytes, which no policy needs")
    return content


def _setting_problems(policy: str, settings: Mapping[str, Any]) -> list[str]:
    kind = POLICIES[policy].settings
    problems = kind.problems_of(policy, settings)
    if not problems:
        try:
            kind(**settings)  # what is wrong with settings only when taken together
        except ValueError as error:
            problems = [str(error)]
    return problems


def _unknown(name: object, known: tuple[str, ...], what: str) -> str:
    hint = name_meant(str(name), known, "docs/policy-file.md has all")
    place = f"policy = {name!r}" if what == "policy" else str(name)
    return f"{place}: there is no such {what}, {hint}"
