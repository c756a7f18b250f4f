"""Worlds whose relay is a program: real processes on loopback ports, in real time, judged as any world is.

| module | |
|---|---|
| programs.py | copies of a command: started, watched, killed, started again; nothing of them is left behind |
| program_worker.py | what webhooks and faults know as a worker: one copy, or one address |
| redis_server.py | a real Valkey for the copies |
| provider_door.py | where programs send texts: the provider's paths on the simulated API's own port |
| outside_server.py | the server: the simulated API, with the provider's paths beside it |
| rest.py | when such a world has come to rest |
| outside_world.py | customers, webhooks, channel and server on one clock, which follows real time |
"""
