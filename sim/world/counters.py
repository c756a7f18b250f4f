"""Counters of a scenario's own: what in a world is counted besides what every world counts, in all and per message.

Whatever a counter counts stands in the trace anyway, so it changes no world and no fingerprint. A bot needs no code of the
simulator for one: it logs a line, as it may in production, and the scenario counts the lines that match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relaysim.sim.trace.schema import HandlingStart, LogLine, MessageSent, RedisCommand, RequestSent, RequestServed

_DETAILS_MAX: Final = 3
_SOURCES: Final = ("log", "request", "redis", "script")
_OF: Final[Mapping[str, tuple[str, ...]]] = {"status": ("request",), "key": ("redis", "script")}
_RUN_SCRIPTS: Final = ("EVAL", "EVALSHA")
"""The commands that a trace names by their script, where its first line names it."""

Status = Annotated[int, Field(ge=100, le=599)]


class Counter(BaseModel):
    """What one counter counts: log lines, requests to the API, Redis commands, or Lua scripts that Redis runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="small letters, digits and _; what claims and results call it"
    )
    log: str | None = Field(
        default=None,
        min_length=1,
        description="a regular expression: the relay's log lines (level INFO and above) in which it is found",
    )
    request: str | None = Field(
        default=None,
        min_length=1,
        description="an operation of the API, `*` for any text in it: requests, repetitions by the SDK included",
    )
    status: Status | tuple[Status, ...] | None = Field(
        default=None, description="of requests: only those that the API answered with this status, or one of these"
    )
    redis: str | None = Field(
        default=None,
        min_length=1,
        description="a Redis command by its first word, such as `SET`, `*` for any text in it",
    )
    script: str | None = Field(
        default=None,
        min_length=1,
        description="a Lua script by the name in its first line, which is `-- NAME`, `*` for any text in it",
    )
    key: str | None = Field(
        default=None,
        min_length=1,
        description="of Redis commands and scripts: only those whose first key is this, `*` for any text",
    )

    @field_validator("log")
    @classmethod
    def _can_be_searched(cls, log: str | None) -> str | None:
        if log is None:
            return None
        try:
            pattern = re.compile(log)
        except re.error as error:
            raise ValueError(
                f"is no regular expression: {error}; write a sign that is meant itself behind a \\"
            ) from error
        if pattern.search("") is not None:
            raise ValueError("is found in every line, also in an empty one; write what the line must hold")
        return log

    @field_validator("redis")
    @classmethod
    def _is_a_command(cls, redis: str | None) -> str | None:
        from relaysim.sim.redis import command_names
        from relaysim.sim.validation_words import closest

        known = command_names()
        if redis is None or any(fnmatchcase(name, redis.upper()) for name in known):
            return redis
        first, _, rest = redis.strip().partition(" ")
        if rest and first.upper() in known:
            raise ValueError(f"must be the first word of a command alone: `{first.upper()}`, not {redis!r}")
        close = closest(redis.upper(), sorted(known))
        meant = f"did you mean {close}? A" if close else "a"
        raise ValueError(
            f"{redis!r} is no command that the simulated Redis knows; {meant} Lua script is counted by `script`, with the "
            "name in its first line"
        )

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Counter:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            there = f", not {' and '.join(f'`{name}`' for name in given)}" if given else ""
            raise ValueError(f"says what is counted by one of {', '.join(f'`{name}`' for name in _SOURCES)}{there}")
        for name, sources in _OF.items():
            if getattr(self, name) is not None and given[0] not in sources:
                raise ValueError(
                    f"`{name}` is for counters of {' or '.join(f'`{each}`' for each in sources)}; leave it out"
                )
        return self

    @property
    def definition(self) -> str:
        """What it counts, as a file says it: `redis = "SET", key = "lock:*"`."""
        given = self.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items())

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses that it counts; empty: whatever comes of a request."""
        if self.status is None:
            return ()
        return (self.status,) if isinstance(self.status, int) else self.status


def check_counters(counters: Sequence[Counter], operations: Iterable[str], api: str) -> None:
    """What counters say of each other and of the API. Raises ValueError, naming the first one that is wrong."""
    from relaysim.sim.validation_words import did_you_mean

    names = list(dict.fromkeys(operations))
    for index, counter in enumerate(counters):
        first = next(at for at, each in enumerate(counters) if each.name == counter.name)
        if first != index:
            raise ValueError(f"[{index}].name {counter.name!r} is the name of [{first}], too; rename one of them")
        wanted = counter.request
        if wanted is not None and not any(fnmatchcase(name, wanted) for name in names):
            hint = did_you_mean(wanted, names, what="there are")
            raise ValueError(f"[{index}].request {wanted!r} is no operation of {api}; {hint}")


def count_events(
    records: Iterable[tuple[float, str, str, Any]], counters: Sequence[Counter]
) -> dict[str, dict[str, Any]]:
    """What each counter counted in a world, by its name.

    Returns:
        For each counter `per_message`, a number for each message that a customer sent, in their order: how often it happened
        in the message's handlings, and in what these started; `outside`: how often it happened outside of any; and
        `details`: of those with the most at most three dicts, whose `text` is a sentence.
    """
    messages: dict[str, str] = {}
    handled: dict[str, str] = {}
    context_of: dict[str, tuple[str, str]] = {}
    found: dict[str, dict[str | None, int]] = {counter.name: {} for counter in counters}
    of_log = [(each.name, _searched(each.log)) for each in counters if each.log is not None]
    of_sent = [(each.name, _matching(each.request)) for each in counters if each.request and not each.statuses]
    of_served = [(each.name, _matching(each.request), each.statuses) for each in counters if each.statuses]
    of_redis = [(each.name, _of_commands(each), _matching(each.key)) for each in counters if each.redis or each.script]

    def count(name: str, delivery: str) -> None:
        message = handled.get(delivery)
        found[name][message] = found[name].get(message, 0) + 1

    for _, _, _, event in records:
        match event:
            case MessageSent():
                messages[event.message_id] = event.conversation
            case HandlingStart():
                handled[event.delivery] = event.message_id
            case LogLine():
                for name, is_in in of_log:
                    if is_in(event.text):
                        count(name, event.delivery)
            case RequestSent():
                context_of[event.request_id] = event.context, event.operation
                for name, fits in of_sent:
                    if fits(event.operation):
                        count(name, event.context)
            case RequestServed():
                delivery, operation = context_of.get(event.request_id, ("", ""))
                for name, fits, statuses in of_served:
                    if event.status in statuses and fits(operation):
                        count(name, delivery)
            case RedisCommand():
                for name, fits, fits_key in of_redis:
                    if fits(event.command) and fits_key(event.key):
                        count(name, event.delivery)
    return {name: _counted(name, its, messages) for name, its in found.items()}


def _counted(name: str, found: Mapping[str | None, int], messages: Mapping[str, str]) -> dict[str, Any]:
    most = sorted(
        ((message, times) for message, times in found.items() if message in messages), key=lambda each: -each[1]
    )
    return {
        "per_message": [found.get(message, 0) for message in messages],
        "outside": sum(times for message, times in found.items() if message not in messages),
        "details": [
            {
                "text": f"{message}: {times} times {name} in its handling" if times > 1 else f"{message}: {name} once",
                "message": message,
                "conversation": messages[str(message)],
            }
            for message, times in most[:_DETAILS_MAX]
        ],
    }


def add_counters(
    observation: dict[str, Any], records: Iterable[tuple[float, str, str, Any]], counters: Sequence[Counter]
) -> None:
    """Put what was counted into an observation: `counters`, and each one's sum and first cases beside the others'.

    Raises ValueError if a counter has the name of something that every world counts.
    """
    if not counters:
        return
    observation["counters"] = count_events(records, counters)
    for name, found in observation["counters"].items():
        if name in observation["counts"]:
            raise ValueError(f"counters: {name!r} is counted in every world; give the counter another name")
        observation["counts"][name] = sum(found["per_message"]) + found["outside"]
        if cases := found.pop("details"):
            observation["details"][name] = cases


@lru_cache(maxsize=256)
def _searched(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


def _of_commands(counter: Counter) -> Callable[[str], bool]:
    """Whether it counts what a trace names so: a command in capitals, or a script by its own name."""
    from relaysim.sim.redis import command_names

    known = command_names()
    if counter.script is not None:
        fits_script = _matching(counter.script)
        return lambda name: name not in known and fits_script(name)
    assert counter.redis is not None, "it counts commands"
    fits = _matching(counter.redis.upper())
    runs_scripts = any(fits(name) for name in _RUN_SCRIPTS)
    return lambda name: fits(name) if name in known else runs_scripts


def _matching(pattern: str | None) -> Callable[[str], bool]:
    return (lambda text: True) if pattern is None else (lambda text: fnmatchcase(text, pattern))
