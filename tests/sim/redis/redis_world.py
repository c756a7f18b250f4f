"""Small worlds around one simulated Redis: some work on each of some hosts, in either lane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest
import redis.asyncio

from relaysim.sim.kernel import Fence, Host, Kernel, Record, current_context
from relaysim.sim.redis import RedisFault, RedisLink, make_client, warm_up


class Place(NamedTuple):
    """What a piece of work is given."""

    client: redis.asyncio.Redis
    kernel: Kernel
    link: RedisLink
    host: Host


Work = Callable[[Place], Awaitable[Any]]

LANES = pytest.mark.parametrize("lane", ["sdk", "direct"])


def fault(**fields: Any) -> RedisFault:
    """A fault as a scenario file would write it."""
    return RedisFault.model_validate(fields)


def live(
    lane: Any,
    *works: Work,
    faults: Sequence[RedisFault] = (),
    seed: int = 0,
    latency: float = 0.001,
    spread: float = 1.0,
    events: Callable[[Kernel, RedisLink, list[Host]], object] = lambda kernel, link, hosts: None,
    **link_settings: Any,
) -> tuple[list[Record], list[Any], RedisLink]:
    """Run one work per host w1, w2, ...; the trace, what each returned, and the link.

    Args:
        lane: `sdk` or `direct`.
        faults: of the server.
        seed: the replication's.
        latency: of a round trip, seconds.
        spread: of the latency; 1: between half of it and three halves, 0: none.
        events: called before the world runs, to schedule what else happens.
        link_settings: further arguments of the link.
    """
    warm_up()
    with Fence() as fence:
        kernel = Kernel(1, seed)
        fence.attach(kernel)
        link = RedisLink(kernel, lambda u: latency * (1 + spread * (u - 0.5)), faults=faults, **link_settings)

        async def run(host: Host, work: Work) -> Any:
            current_context.set(f"delivery-{host.name}")
            return await work(Place(make_client(host, link, lane), kernel, link, host))

        hosts = [kernel.host(f"w{number}") for number in range(1, len(works) + 1)]
        tasks = [host.spawn(run(host, work)) for host, work in zip(hosts, works, strict=True)]
        events(kernel, link, hosts)
        try:
            kernel.run()
            results = [task.result() if task.done() else "unfinished" for task in tasks]
            return list(kernel.trace.records), results, link
        finally:
            kernel.close()
            link.close()
            fence.attach(None)


async def outcome(command: Awaitable[Any]) -> Any:
    """What a command returned, or the error it raised, as text."""
    try:
        return await command
    except (redis.asyncio.RedisError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


def of_kind(records: list[Record], *kinds: str) -> list[tuple[float, tuple[Any, ...]]]:
    """Time and fields of all records of these kinds."""
    return [(record.time, record.fields) for record in records if record.kind in kinds]
