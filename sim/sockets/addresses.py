"""Who stands at which address of a world, and the numbers that host names have there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from hashlib import blake2b
from ipaddress import IPv4Address, ip_address
from typing import Final

from relaysim.sim.sockets.connection import Address
from relaysim.sim.sockets.http_messages import HttpService
from relaysim.sim.sockets.http_server import HttpServer
from relaysim.sim.sockets.streams import StreamService

_FIRST: Final = int(IPv4Address("198.18.0.1"))
_COUNT: Final = 2**17 - 2
"""The addresses 198.18.0.0/15, which RFC 2544 sets aside for tests of networks: nobody can mean a real host by them."""

_LOCAL: Final = {"localhost": "127.0.0.1"}


class Addresses:
    """The registry of a world: which service stands at which host name and port.

    Services are registered before code of a worker runs. Numeric addresses are made up when names are looked up; each name
    has its own, the same in every world.
    """

    def __init__(self) -> None:
        self._services: dict[tuple[str | None, int | None], StreamService] = {}
        self._numbers: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._local_ports = itertools.count(40_000)

    def register(self, host: str | None, port: int | None, service: HttpService | StreamService) -> None:
        """Put a service at an address, in place of what stands there.

        Args:
            host: a host name, or an address in numbers; `.example.com`: every name below that one which has no service of
                its own; None: any, on which no other service is at that port.
            port: None: any.
            service: answers HTTP requests, or takes connections.

        Raises:
            ValueError: neither is given.
        """
        if host is None and port is None:
            raise ValueError("give a host name, a port, or both: a service cannot stand at every address")
        stream = HttpServer(service) if isinstance(service, HttpService) else service
        self._services[None if host is None else _plain(host), port] = stream

    def service_at(self, host: str, port: int) -> StreamService | None:
        """The service at an address, the most closely named one if there are several; None: there is none."""
        name = self.name_of(host)
        above = [name[index:] for index, letter in enumerate(name) if letter == "."]
        for key in ((name, port), (name, None), *((each, port) for each in above), (None, port)):
            if key in self._services:
                return self._services[key]
        return None

    def name_of(self, host: str) -> str:
        """The host name that was looked up when this number was given, or else `host`, in lower case."""
        plain = _plain(host)
        return self._names.get(plain, plain)

    def number_of(self, host: str) -> str:
        """The numeric address of a host name, whoever may stand there."""
        name = _plain(host)
        try:
            return str(ip_address(name))
        except ValueError:
            pass
        number = self._numbers.get(name) or _LOCAL.get(name)
        if number is None:
            number = next(each for each in _numbers(name) if each not in self._names)
            self._numbers[name], self._names[number] = number, name
        return number

    def local_address(self) -> Address:
        """Where a connection of a worker sets out."""
        return "10.0.0.2", next(self._local_ports)

    def __str__(self) -> str:
        """The registered addresses, as an error message lists them."""
        return ", ".join(_shown(host, port) for host, port in self._services) or "none"


def _plain(host: str) -> str:
    return host.strip().rstrip(".").strip("[]").lower()


def _numbers(name: str) -> Iterator[str]:
    """The numbers that a name may have, the one that it has unless another name was there first."""
    start = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    for further in range(_COUNT):
        yield str(IPv4Address(_FIRST + (start + further) % _COUNT))


def _shown(host: str | None, port: int | None) -> str:
    host = f"*{host}" if host is not None and host.startswith(".") else host
    if host is None:
        return f"any host at port {port}"
    return host if port is None else f"{host}:{port}"
