"""A simulated TCP below all libraries: code of a worker that opens connections by itself reaches simulated services by their
usual addresses, in virtual time, whatever client it made and whenever.

`addresses` is a world's registry of who stands where; a service answers HTTP requests (`http_messages`) or speaks bytes
(`streams`). `connection` is one connection: bytes arrive at the instant at which they are sent, so that time passes where
services let it pass. `http_server` speaks HTTP/1.1 at a service's end. `host_sockets` is the network as one host reaches it;
`loop_calls` are the methods of its asyncio loop, with `transport` as their end of a connection, and `simulated_socket` is
what plain code gets, with `readiness` for `select` and the like, and `pairs` by which loops wake themselves. `tls` passes
TLS over. `installation` puts all this where libraries look for it.
May import `relaysim.sim.kernel`. Begin with `Addresses` and `open_sockets`.
"""

from relaysim.sim.sockets.addresses import Addresses
from relaysim.sim.sockets.connection import Connection, Session
from relaysim.sim.sockets.http_messages import BrokenConnectionError, HttpRequest, HttpResponse, HttpService
from relaysim.sim.sockets.installation import SocketCalls
from relaysim.sim.sockets.loop_calls import open_sockets
from relaysim.sim.sockets.streams import StreamService

__all__ = [
    "Addresses",
    "BrokenConnectionError",
    "Connection",
    "HttpRequest",
    "HttpResponse",
    "HttpService",
    "Session",
    "SocketCalls",
    "StreamService",
    "open_sockets",
]
