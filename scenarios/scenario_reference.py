"""The reference of scenario files, written from the models:
`python -m relaysim.scenarios.scenario_reference > docs/scenarios.md`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.scenario_files import shipped
from relaysim.sim.backends.profile import Profile, shipped_profiles
from relaysim.sim.kernel.distributions import Constant, Exponential, LogNormal, Mixture, Uniform
from relaysim.sim.world import COUNTS, SERIES

_DISTRIBUTIONS = (Constant, Uniform, Exponential, LogNormal, Mixture)

_OPENING = """# Scenario files

A scenario is a TOML file: what a world is made of, how often it is run, and what is claimed about it. `relaysim list`
names the shipped ones; a path works wherever a name does. This page is written from the code
(`python -m relaysim.scenarios.scenario_reference`), and a test keeps it so.

Durations are in seconds. Where a distribution is expected, a plain number means that constant. Every mistake in a file is
told at once, with its place and a suggestion, and exit code 2.

A file may begin with `extends = "race"` (a shipped name, or a path relative to it) and say only what differs: tables are
merged, claims are merged by `id`, other lists are replaced, and `drop = true` in a claim, or `map = { drop = true }`,
takes something out. `--set PATH=VALUE` does the same from the command line.

Replication N of a scenario is the world of `--seed N`: every random number in it is a keyed function of the scenario's
`root_seed`, N, and what the number is for. Two relays in the same scenario and seed meet the same latencies.
"""

_PERCENTILES = """
## Percentiles

"95 % of messages are answered within 20 s" is a claim of kind `above`: its event counts the values of a series from 0 up
to a bound, and `among` says which values there could be.

```toml
# in_time.toml
extends = "race"
name = "in_time"

[[claims]]
id = "p95"
title = "95 % of messages are answered within 20 s"
kind = "above"
event = "reply_seconds <= 20"
among = "messages"
limit = 0.95
reason = "a customer who waits longer asks again"

[[claims]]
id = "half"
title = "fewer than half of the messages are answered within 1 s"
kind = "below"
event = "reply_seconds <= 1"
among = "messages"
limit = 0.5
reason = "a run takes longer"
```

A message that never got its answer has no value, and counts as one that is not within the bound, since it is among the
messages: percentiles of those who were answered look the better the more were not. One that got an apology, and an answer
besides, has the time of its answer; a claim about `failed` counts the apologies. The verdict is about the rate, with the
interval that every claim has, so that "95 %" is verified only where the whole interval lies above. For the median say
`limit = 0.5`, for all but one in a hundred `limit = 0.99`; the last needs some hundreds of messages. `relaysim compare`
shows waits at each percentile side by side ([comparing policies](comparing-policies.md)).
"""

_COUNTERS = """
## Counters of your own

What else is to be counted says a `[[counters]]` table: log lines, requests to the API, Redis commands or scripts. A bot
needs no code of the simulator for it: it logs a line at level INFO or above, as it may in production,

```python
logging.getLogger("bot").info("cache miss: %s", key)
```

and the scenario counts the lines in which `log` is found. What is counted shows in `results.json` (`counts` and
`counters`), on the pages of `verify`, `compare` and `sweep` and under `--full`, and claims can limit it:

```toml
# counted.toml
extends = "race"
name = "counted"

[[counters]]
name = "conflicts_logged"
log = "Active run detected"

[[counters]]
name = "appends"
request = "messages.create"

[[counters]]
name = "refused"
request = "*.create"
status = 400

[[counters]]
name = "locks"
redis = "SET"
key = "*lock*"

[[claims]]
id = "few-appends"
title = "no message takes more than 6 appends"
kind = "never"
event = "appends > 6"
among = "messages"
reason = "the policy gives up before"

[[claims]]
id = "few-conflicts"
title = "a refusal in less than 90 % of messages"
kind = "below"
event = "refused > 0"
among = "messages"
limit = 0.9
reason = "one of the two messages meets nobody"
```

`NAME > N` counts the messages with more than N of it, `NAME <= N` those with no more (with `above` and `limit = 0.95`: 95 %
of messages need no more than N). The name alone counts every time it happens, in claims of kind `never` or `absent`, or,
where `among` is left out, the worlds that had it. A message has what happened in its handlings, and in what these started;
where one handling does the work of several messages, it has all of it. What happened in no handling, as in a loop that takes
work from a queue, is `outside`: then a claim about messages is refuted or inconclusive, and never verified, since nobody
knows whose it was. Counters change no world: fingerprints are the same with them and without.

An operation or a Redis command that there is not is told when the file is read. A log line, a key or a script can be
misspelt unnoticed, so a counter that matched nothing in any world says so beside each verdict that rests on it ("nothing
matched `log = "cash miss"` in 400 worlds: is the pattern right?"; `nothing_matched` in `results.json`). The verdict stays:
what must never happen rightly matches nothing. To see that the pattern can match, count it once in a relay
that does what it forbids.

A Lua script is named by its first line, `-- release`, and `script = "release"` counts its runs; `redis` counts what is
called from outside of scripts, and a script's run as `EVAL` and as `EVALSHA`.
"""


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in _DISTRIBUTIONS and annotation is not Profile:
            yield annotation
        return
    for part in get_args(annotation):
        yield from _models(part)


def _type(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return ""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        parts = get_args(annotation)
        if any(part in _DISTRIBUTIONS for part in parts):
            return "duration"
        return " or ".join(dict.fromkeys(name for part in parts if (name := _type(part))))
    if origin is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "value")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is PydanticUndefined or isinstance(info.default, (tuple, BaseModel)) or info.default is None:
        return ""
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else info.default}`"


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for field, info in model.model_fields.items():
        name = info.validation_alias if isinstance(info.validation_alias, str) else info.alias or field
        if name == "backend":
            continue  # the loader fills it in
        meaning = (info.description or "").replace("|", "\\|")
        yield f"| `{name}` | {_type(info.annotation)} | {_default(info)} | {meaning} |"


def _sections(model: type[BaseModel], seen: list[type[BaseModel]]) -> None:
    if model in seen:
        return
    seen.append(model)
    for info in model.model_fields.values():
        for inner in _models(info.annotation):
            _sections(inner, seen)


def reference() -> str:
    """The whole page."""
    lines = [_OPENING, "## Shipped scenarios", "", "| scenario | what happens |", "|---|---|"]
    for name in shipped():
        lines.append(f"| `{name}` | {' '.join(load(name, check_relay=False).description.split())} |")
    models: list[type[BaseModel]] = []
    _sections(Scenario, models)
    for model in models:
        heading = "The file" if model is Scenario else model.__name__
        lines += ["", f"## {heading}", "", " ".join((model.__doc__ or "").split()), "", *_table(model)]
    lines += ["", "## Durations", ""]
    for distribution in _DISTRIBUTIONS:
        keys = [name for name in distribution.model_fields if name != "kind"]
        kind = get_args(distribution.model_fields["kind"].annotation)[0]
        lines.append(
            f'- `kind = "{kind}"` with {", ".join(f"`{key}`" for key in keys)}: '
            f"{' '.join((distribution.__doc__ or '').split())}"
        )
    lines += [
        "",
        "## Profiles",
        "",
        "A profile says how slow and how faulty the backend is. Shipped: "
        f"{', '.join(f'`{name}`' for name in shipped_profiles())}. Each number is a table with "
        "its value and a `basis`, a sentence on what it rests on; a number without one is refused. A profile may "
        "say only what differs from a shipped one, or from another file "
        '(`extends = "typical"`): a table without a `kind` then changes single parameters '
        "([an example](tutorials/researcher.md#4-a-backend-of-your-own)). A scenario changes single numbers under "
        "`profile_overrides`.",
        "",
        "| key | meaning |",
        "|---|---|",
    ]
    for name, info in Profile.model_fields.items():
        lines.append(f"| `{name}` | {info.description} |")
    lines += ["", "## What claims can count", "", "A claim's `event` and `among` name one of these counts:", ""]
    lines += ["| count | meaning |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in COUNTS.items())]
    lines += [
        "",
        "An `event` may also be one of these series up to a bound, as `reply_seconds <= 20`; for `exact`, a series alone:",
        "",
        "| series | meaning |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {text} |" for name, text in SERIES.items()]
    lines += _PERCENTILES.rstrip().splitlines() + _COUNTERS.rstrip().splitlines()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
