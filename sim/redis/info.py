"""INFO on the simulated server, as far as clients ask: libraries read the version, and log the rest when they start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_MEMORY_BYTES: Final = 1_048_576
"""A simulated server takes none of its own."""


def info_text(server: Any, version: Sequence[int], asked: Sequence[bytes]) -> bytes:
    """What a server says of itself.

    Args:
        server: fakeredis' one.
        version: which it simulates.
        asked: the sections; none: all of them. One that is not there gives nothing, as with a real server.
    """
    whole = (*version, 0, 0)[:3]
    sections: dict[str, Mapping[str, object]] = {
        "Server": {"redis_version": ".".join(map(str, whole)), "redis_mode": "standalone"},
        "Clients": {"connected_clients": 1},
        "Memory": {
            "used_memory": _MEMORY_BYTES,
            "used_memory_human": f"{_MEMORY_BYTES / 2**20:.2f}M",
            "maxmemory": 0,
            "maxmemory_policy": "noeviction",
        },
        "Persistence": {"loading": 0},
        "Replication": {"role": "master", "connected_slaves": 0},
        "Keyspace": {
            f"db{number}": f"keys={len(database)},expires=0,avg_ttl=0"
            for number, database in sorted(server.dbs.items())
            if len(database)
        },
    }
    names = {each.decode(errors="replace").lower() for each in asked}
    everything = not names or names & {"all", "default", "everything"}
    lines: list[str] = []
    for name, fields in sections.items():
        if everything or name.lower() in names:
            lines += [f"# {name}", *(f"{key}:{value}" for key, value in fields.items()), ""]
    return "\r\n".join(lines).encode()
