"""A worker's client, per lane."""

from __future__ import annotations

from typing import Any, Literal

from relaysim.sim.doors.direct import DirectClient
from relaysim.sim.doors.network import Network
from relaysim.sim.doors.transport import SimTransport
from relaysim.sim.kernel import Host, Kernel

Lane = Literal["sdk", "direct"]

LANES: tuple[Lane, ...] = ("sdk", "direct")


def make_client(kernel: Kernel, host: Host, network: Network, lane: Lane) -> Any:
    """A worker's client of the network's backend: in lane `sdk` the real one, `DirectClient` in lane `direct`.

    Raises:
        ValueError: no such lane, or a network of another world.
    """
    if network.kernel is not kernel:
        raise ValueError("the network belongs to another kernel")
    if lane == "sdk":
        return network.service.backend.sdk_client(SimTransport(host, network))
    if lane == "direct":
        return DirectClient(host, network)
    raise ValueError(f"no lane {lane!r}; there are {', '.join(LANES)}")
