"""The simulated OpenAI Threads API (Assistants v2).

From the inside out; each layer knows only those before it:

- `states`: the table of run states, which everything else reads; it can draw itself.
- `errors`: the error answers, to the byte.
- `parameters`, `json_values`, `json_body`, `pages`: checks of what requests say, and how lists answer.
- `replies`: what assistants answer, as code or as data; `usage`: what it costs in tokens.
- `streaming`: the server-sent events of one streamed answer.
- `records`, `assistants`, `writing`, `service`: what is stored, and the state machine of threads, messages, runs and their
  steps. Sans-I/O, no time of its own.
- `operations`: names, routes and parameters of the operations; calls and answers without HTTP.
- `profile`, `limits`, `quirks`, `life`: how slow a backend is, how many requests it takes, what nobody has proved of it,
  and the SimPy processes that move runs accordingly.
- `faults`, `effects`: which faults there are, and what each does to an attempt; `latency`: how long one takes.
- `arrivals`, `network`: one attempt at a request in virtual time: latency, effect, broken and streamed answers, trace.
- `wire`: HTTP to calls and answers to HTTP, sans-I/O, for any door.
- `transport`, `direct`: the two doors. Lane `sdk` is the real SDK on a simulated transport, lane `direct` the same
  calls without the SDK's code; equal traces.
- `simulation`: the API without a world, for doors of its own: `server` (a socket) and `in_process` (other people's tests).
- `reference`: the page of run states, written from their table.

Begin with `states`, then `service`. A world does:

    service = ThreadsService(kernel.draws, lambda: EPOCH_SECONDS + kernel.now, kernel.trace)
    RunLives(kernel, service, profile)
    network = Network(kernel, service, profile, faults)
    with keyed_retry_jitter():
        client = make_client(kernel, host, network, "sdk")

Imports: `relaysim.sim.kernel`, `relaysim.sim.faults`, and in the doors `openai` and `httpx2`.
"""

from __future__ import annotations

from typing import Any, Literal

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.profile import Profile, load_profile, shipped_profiles
from relaysim.sim.backends.threads.life import RunLives
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.replies import Replier, echo_reply
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.doors.direct import DirectClient, NotInDirectLaneError
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.network import Network
from relaysim.sim.doors.transport import SimTransport, keyed_retry_jitter, make_sdk_client, warm_up
from relaysim.sim.doors.wire import Wire
from relaysim.sim.kernel import Host, Kernel

Lane = Literal["sdk", "direct"]

LANES: tuple[Lane, ...] = ("sdk", "direct")


def make_client(kernel: Kernel, host: Host, network: Network, lane: Lane) -> Any:
    """A worker's OpenAI client: `openai.AsyncOpenAI` in lane `sdk`, `DirectClient` in lane `direct`.

    Raises:
        ValueError: no such lane, or a network of another world.
    """
    if network.kernel is not kernel:
        raise ValueError("the network belongs to another kernel")
    if lane == "sdk":
        return make_sdk_client(host, network)
    if lane == "direct":
        return DirectClient(host, network)
    raise ValueError(f"no lane {lane!r}; there are {', '.join(LANES)}")


__all__ = [
    "LANES",
    "ApiError",
    "ApiFault",
    "DirectClient",
    "Lane",
    "Network",
    "NotInDirectLaneError",
    "Profile",
    "Replier",
    "RunLives",
    "RunRecord",
    "SimTransport",
    "ThreadsService",
    "Wire",
    "echo_reply",
    "keyed_retry_jitter",
    "load_profile",
    "make_client",
    "make_sdk_client",
    "shipped_profiles",
    "warm_up",
]
