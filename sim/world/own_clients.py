"""Clients that code under test makes by itself: where they find the simulated services, and what its environment says.

Only worlds with code of the user's have this: code of this project is handed its clients.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from relaysim.sim.backends.azure import DOMAINS as AZURE_DOMAINS
from relaysim.sim.doors import ApiAddress, Network
from relaysim.sim.doors.transport import API_KEY
from relaysim.sim.kernel import Host
from relaysim.sim.process import Libraries
from relaysim.sim.redis import RedisAddress, RedisLink
from relaysim.sim.sockets import Addresses, SocketCalls, open_sockets
from relaysim.sim.threads import wait

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "ftp_proxy")

_REDIS_HOST: Final = "redis"
_REDIS_PORT: Final = 6379
_PORTS: Final = {"http": 80, "https": 443}
_KEY: Final = "OPENAI_API_KEY"


def addresses_of(network: Network, link: RedisLink, variables: Mapping[str, str]) -> Addresses:
    """The addresses of a world: its API stands where the API's clients look for it, at Azure's domains too; its Redis at any
    host on Redis' own port, and where the environment says."""
    SocketCalls.install()
    made = Addresses()
    base = urlsplit(network.service.backend.base_url)
    api = ApiAddress(network)
    made.register(base.hostname, base.port or _PORTS[base.scheme], api)
    for domain in AZURE_DOMAINS:
        made.register(f".{domain}", _PORTS["https"], api)
    redis = RedisAddress(link)
    made.register(None, _REDIS_PORT, redis)
    given = urlsplit(variables.get("REDIS_URL") or os.environ.get("REDIS_URL", ""))
    if given.hostname:
        made.register(given.hostname, given.port or _REDIS_PORT, redis)
    return made


def connect_host(host: Host, addresses: Addresses) -> None:
    """Let code on a host of a worker reach them."""
    open_sockets(host, addresses, wait)


def clients_of(libraries: Libraries, base_url: str, openai: Any, redis: Any) -> tuple[Any, Any]:
    """The clients that a factory is handed whose relay has libraries of its own: made with these, so that it meets what its
    versions do and raise. Given are those to hand over where it shares the simulator's library."""
    if libraries.holds("openai"):
        openai = libraries.load("openai").AsyncOpenAI(base_url=base_url)
    if libraries.holds("redis"):
        redis = libraries.load("redis.asyncio").Redis(host=_REDIS_HOST, port=_REDIS_PORT)
    return openai, redis


def prepare_environment() -> None:
    """What a worker's environment says of its clients: no proxy and no passwords of this machine, and a key if there is
    none."""
    for name in [name for name in os.environ if name.lower() in _PROXIES]:
        del os.environ[name]
    os.environ.pop("NETRC", None)
    os.environ["no_proxy"] = "*"  # nor what a system's settings say
    os.environ.setdefault(_KEY, API_KEY)
