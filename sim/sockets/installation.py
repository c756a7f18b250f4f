"""What is installed once for many worlds, so that code of hosts with sockets finds simulated ones under the usual names."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from relaysim.sim.kernel.fence import replace_names
from relaysim.sim.kernel.installation import Installation
from relaysim.sim.sockets.host_sockets import HostSockets, sockets_here
from relaysim.sim.sockets.pairs import make_pair
from relaysim.sim.sockets.readiness import install_in_selectors, substitutes
from relaysim.sim.sockets.simulated_socket import make_socket
from relaysim.sim.sockets.tls import pass_over_tls


class SocketCalls(Installation):
    """For the length of a `with` block, from `install` on. Code on other hosts, and outside of worlds, sees the real
    thing."""

    def _install(self, undo: ExitStack) -> None:
        replaced: dict[int, tuple[Any, Any]] = {
            id(real): (real, substitute) for real, substitute in (*substitutes(), *_calls())
        }
        for install in (partial(install_in_selectors, replaced), partial(replace_names, replaced), pass_over_tls):
            undo.callback(install())
        socket.socket.__new__ = make_socket  # type: ignore[assignment, method-assign]
        undo.callback(delattr, socket.socket, "__new__")


def _calls() -> list[tuple[Callable[..., Any], Callable[..., Any]]]:
    """The functions of `socket` that look up names or make sockets, each with what stands in its place."""

    def on_host(real: Callable[..., Any], made: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def call(*args: Any, **kwargs: Any) -> Any:
            sockets = sockets_here()
            return real(*args, **kwargs) if sockets is None else made(sockets, *args, **kwargs)

        return real, call

    def by_name(sockets: HostSockets, hostname: Any) -> str:
        return str(sockets.look_up(hostname, None, socket.AF_INET)[0][4][0])

    def with_aliases(sockets: HostSockets, hostname: Any) -> tuple[str, list[str], list[str]]:
        return hostname, [], [by_name(sockets, hostname)]

    return [
        on_host(socket.getaddrinfo, _get_address_info),
        on_host(_socket.getaddrinfo, _get_address_info),
        on_host(socket.gethostbyname, by_name),
        on_host(socket.gethostbyname_ex, with_aliases),
        on_host(socket.socketpair, make_pair),
    ]


def _get_address_info(
    sockets: HostSockets, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> Any:
    return sockets.look_up(host, port, family, type, proto)
