"""The ways to a simulated API, for any backend: each drives it by `relaysim.sim.backends.protocol` and knows none by name.

- `faults`, `effects`: which faults there are, and what each does to an attempt; `latency`: how long one takes.
- `arrivals`, `network`: one attempt at a request in virtual time: latency, effect, broken and streamed answers, trace;
  `sent_requests`: what requests carry, for whoever compares two runs of a world.
- `transport`, `direct`, `clients`: the two doors of a world. Lane `sdk` is the real SDK on a simulated transport, lane
  `direct` the same calls without the SDK's code (`direct_errors`, `direct_records`, `direct_streams`); equal traces.
- `api_address`: the API as a service at its address, for clients that code under test makes by itself; `broken_answers`:
  how an answer that breaks is written, there and in the transport.
- `simulation`: an API without a world, for doors of its own: `server` (a socket) and `in_process` (virtual time in a test's
  process, with `in_process_transport`, `thread_clock` and `called_functions`).
- `api_handle`, `served`, `given_replies`, `given_settings`: what tests of other people do with these, and how they say it.

Begin with `network`. A world does:

    backend = backend_named("threads")
    service = backend.start(kernel, profile, now=lambda: EPOCH_SECONDS + kernel.now, trace=kernel.trace)
    network = Network(kernel, service, profile, faults)
    with keyed_retry_jitter():
        client = make_client(kernel, host, network, "sdk")

Imports: `relaysim.sim.kernel`, `relaysim.sim.sockets`, `relaysim.sim.trace`, `relaysim.sim.faults`, what
`relaysim.sim.backends` has in common, and in the doors `openai` and `httpx2`.
"""

from __future__ import annotations

from relaysim.sim.backends import backend_named
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.profile import Profile, load_profile, shipped_profiles
from relaysim.sim.doors.api_address import ApiAddress
from relaysim.sim.doors.clients import LANES, Lane, make_client
from relaysim.sim.doors.direct import DirectClient, NotInDirectLaneError
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.network import Network
from relaysim.sim.doors.transport import SimTransport, keyed_retry_jitter, warm_up

__all__ = [
    "LANES",
    "ApiAddress",
    "ApiError",
    "ApiFault",
    "DirectClient",
    "Lane",
    "Network",
    "NotInDirectLaneError",
    "Profile",
    "SimTransport",
    "backend_named",
    "keyed_retry_jitter",
    "load_profile",
    "make_client",
    "shipped_profiles",
    "warm_up",
]
