"""Worlds whose relay is a program: real processes on loopback ports, in real time or on the simulator's clock, judged as any
world is.

| module | |
|---|---|
| programs.py | copies of a command: started, watched, killed, started again; nothing of them is left behind |
| program_worker.py | what webhooks and faults know as a worker: one copy, or one address |
| program_settings.py | how copies are started and reached |
| readiness.py | when copies can take webhooks |
| redis_server.py | a real Valkey for the copies, with a replica where writes will be lost, or the user's own Redis |
| redis_proxy.py | what stands before it: a server that is slow, gone or replaced, and commands and replies that are lost |
| shared_customers.py | customers whom no other world has, for a program or a Redis that worlds share |
| loopback_door.py | a port that can be shut for a while |
| command_stream.py | takes what a client writes to Redis apart |
| provider_door.py | where programs send texts: the provider's paths on the simulated API's own port |
| outside_server.py | the server: the simulated API, with the provider's paths beside it |
| rest.py | when such a world has come to rest |
| outside_world.py | customers, webhooks, channel and server on one clock, which follows real time |
| stepped_program.py | a copy that runs only when the simulator lets it, until it is idle |
| program_sockets.py | our ends of its connections |
| lockstep_target.py | one life of such a copy, among the simulated services |
| lockstep_world.py | a world in virtual time around such copies |
| simulated_redis.py | the Redis of such a world |

`lockstep_preload.mjs` is loaded into a program of Node before its own code, `lockstep_python` into one of Python; they keep
it on the simulator's clock.
"""
