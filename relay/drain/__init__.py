"""Policy `drain`: the relay that answers every message once, whatever crashes.

What lives here
    drain.py           the policy: `handle` hands a message in; begin here
    drainer.py         one worker answering one conversation
    held_lease.py      its lease, and what may be done under it
    sweeper.py         what dead workers left
    eviction.py        whether the server throws inboxes away
    inbox_reading.py   an inbox as Redis tells it, read, in the order of writing
    store.py           inbox, lease and ledger in Redis; store_scripts.py has its Lua
    store_records.py   what the store gives back
    store_failures.py  why a step failed there, and what to do about it
    backend.py         the seam to the conversation API, and OpenAI Threads behind it
    responses_backend.py  OpenAI Responses with Conversations behind it
    channel.py         the seam to the customers
    retries.py         repetitions, with budget.py
    identity.py        what is written on a run
    without_store.py   answering while Redis is unavailable, if the settings say so
    drain_settings.py  every setting
    drain_promises.py  what it promises, for whoever judges it

May import the rest of `relay`, `openai` and `redis`.
"""

from relaysim.relay.drain.backend import (
    Backend,
    BackendError,
    Busy,
    Conflict,
    NoThread,
    Refused,
    Rejected,
    RunView,
    Unavailable,
)
from relaysim.relay.drain.channel import Channel, NotSent
from relaysim.relay.drain.drain import Drain, InboxFull, InboxUnavailable, drain
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.sweeper import Health

__all__ = [
    "Backend",
    "BackendError",
    "Busy",
    "Channel",
    "Conflict",
    "Drain",
    "DrainSettings",
    "Health",
    "InboxFull",
    "InboxUnavailable",
    "NoThread",
    "NotSent",
    "Refused",
    "Rejected",
    "RunView",
    "Unavailable",
    "drain",
]
