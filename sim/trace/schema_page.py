"""The page of what a trace tells, written from its schema.

python -m relaysim.sim.trace.schema_page > docs/trace.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relaysim.sim.kernel import kind_of
from relaysim.sim.trace.schema import EVENTS, describe

_INTRODUCTION = """# What a trace tells

Written by `python -m relaysim.sim.trace.schema_page` from the records in `sim/trace/schema.py`, which whatever is simulated
writes and which every reader reads by name. Change the schema, then this page.

`relaysim run SCENARIO --seed N --trace FILE` writes one event a line, as a JSON object, in the order in which things
happened. Each has

- `time`: virtual seconds since the world began;
- `entity`: where it happened: a worker (`w1`), a customer (`customer:c1`), `webhooks`, `api`, `redis`; of `relaysim serve`
  also `client` and `network`;
- `kind`: which of those below, whose fields follow by their names.

In Python (`simulated_openai.trace`, `run_world(..., keep_trace=True)`) a record has these three and `fields`, whose parts
have the same names: `record.fields.run_id`. The fingerprint of a world is a digest of all its events: of times, entities,
kinds and values, and not of the names of fields.

`relaysim run SCENARIO --seed N --trace FILE.trace.json` (or `--trace-format chrome`) writes the Chrome trace format instead,
which [Perfetto](https://ui.perfetto.dev) opens: customers, each worker, Redis and the API as processes; handlings, requests,
holds of locks and leases, and runs as slices, those that overlap on tracks of their own; faults, logs and exceptions as
instants; arrows from a message to its handlings, from a request to the run that it created, and from a run to the text that
was sent of it. Times are virtual. What had not ended reaches to the end of the world and has `unended` among its arguments.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(line for event in EVENTS for line in _section(event))])


def _section(event: type[Any]) -> Iterator[str]:
    yield f"## `{kind_of(event)}`"
    yield ""
    yield event.__doc__ or ""
    yield ""
    fields = describe(event)
    if fields:
        yield "| field | type | meaning |"
        yield "|---|---|---|"
        for name, type_name, meaning in fields:
            shown = type_name.replace("|", "\\|")
            yield f"| `{name}` | {shown} | {meaning} |"
        yield ""


if __name__ == "__main__":
    print(page(), end="")
