"""Simulated conversation APIs: each a package here, found by its name in `BACKENDS`; beside them what they have in common.

- `protocol`: the seam: what a backend is to worlds, doors and the judge. Begin there.
- `calls`: a call and its answer, neither of which is HTTP; `wire`: HTTP to calls and answers to HTTP, sans-I/O.
- `errors`, `json_values`, `json_body`, `pages`, `streaming`: OpenAI's way of answering: error bodies, checks, lists, events.
- `replies`: what assistants answer, as code or as data; `tokens`: how many of them a text is.
- `other_endpoints`: no backend: what bots call beside one; `azure`: Azure's addresses of all of it.
- `webhook_events`: what an API tells of its turns by itself, signed.
- `profile`, `rate_limits`: how slow a backend is, and how many requests it takes; `calibration`: where numbers come from.
- `state_table`: the states of turns, and what requests are answered in each; `state_page` writes pages from it.
- `pieces`: a streamed text in pieces.
- `threads`: the Threads API. `responses`: Responses with Conversations, what took its place.

What is in common imports `relaysim.sim.kernel` and `relaysim.sim.trace`. A backend's own package stands above
`relaysim.sim.doors`, of which it uses parts to make its clients and its control routes; the doors know it by the protocol
only, which is why it is named here and not imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relaysim.sim.backends.protocol import Backend

DEFAULT: Final = "threads"

BACKENDS: Final[dict[str, str]] = {
    "threads": "relaysim.sim.backends.threads.backend:THREADS",
    "responses": "relaysim.sim.backends.responses.backend:RESPONSES",
}
"""Per name `module:attribute` of a `Backend`, imported when it is asked for. One line adds one."""


class UnknownBackendError(ValueError):
    """There is no backend of that name; the message lists those that there are."""


def backend_named(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UnknownBackendError: there is none.
    """
    place = BACKENDS.get(name)
    if place is None:
        raise UnknownBackendError(f"there is no simulated API {name!r}; there are: {', '.join(BACKENDS)}")
    module, _, attribute = place.partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)
    return backend
