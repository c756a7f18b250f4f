"""Redis in virtual time: fakeredis behind a link with latency.

`RedisLink` is the server and the network to it: a command travels, is processed in a kernel event (so it takes effect
whatever happens to the host that sent it), and the reply travels back. Two clients use it: the real `redis.asyncio.Redis`
over a connection class of ours (`sdk` lane), and the same client with only its connections bypassed (`direct` lane).
Keys expire in virtual time, because the fence makes `time.time()` virtual. The server can be slow, down, restarted or
replaced by a replica, and packets can be lost: see `RedisFault`.

- `link`, `exchange`: the server and the network; one command on its way. `client`, `linked_connection`: both clients.
- `plain_client`: a client for plain code outside of worlds, such as a test.
- `address`: the server as a service that speaks its protocol, for clients that code under test makes by itself.
- `faulty_path`, `redis_faults`, `replication`: the same way with faults, which there are, and what outlives a failover.
- `wait`, `blocked_clients`, `info`: commands that wait, who waits, and what the server says of itself.
- `scripts`, `lua_msgpack`: Lua, and what Redis gives to it.
- `planned_signatures`: how a command's arguments are read; `command_names`: what commands are called.
- `known_commands`: which commands there are.
- `cluster_slots`: which commands a node of a cluster refuses.
- `set_locks`, `lease_holders`, `kept_words`: which locks ran out under their holders, who holds a lease, and what is kept.

May import `relaysim.sim.kernel`, `relaysim.sim.sockets` and `relaysim.sim.faults`. Begin with `RedisLink`.
"""

from relaysim.sim.redis.address import RedisAddress
from relaysim.sim.redis.client import make_client
from relaysim.sim.redis.known_commands import command_names
from relaysim.sim.redis.link import RedisLink, warm_up
from relaysim.sim.redis.plain_client import plain_client
from relaysim.sim.redis.redis_faults import RedisFault

__all__ = ["RedisAddress", "RedisFault", "RedisLink", "command_names", "make_client", "plain_client", "warm_up"]
