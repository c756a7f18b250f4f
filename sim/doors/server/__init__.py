"""The simulated API on a real socket.

- `pacer`: lets virtual time follow real time, or a hand.
- `app`: the ASGI application; `requests`: one request from its arrival to its answer; `body`: reading what it brings.
- `delivery`: how answers leave, in one piece, as streams, or damaged; `browsers`: what those of another origin need.
- `served_metrics`: what has been answered, as metrics and as a log.
- `event_sender`: what the API tells of its turns by itself, to an endpoint.
- `http_protocol`: uvicorn's HTTP protocol, with limits, and with a way to the connection under a request.
- `listener`: the listening socket, and how it stops; `outages`: when nothing listens.
- `background`: all of it in a thread of its own, for tests.
- `control`: the control API under `/_relaysim`, with `control_models` and `control_errors` (what it takes and gives),
  `control_requests` (the way to it), `control_world` and `control_trace` (what it shows), `control_faults`,
  `control_replies` and `control_reset` (what it changes).

    with BackgroundServer(ApiSettings(assistants="any"), speed=0) as running:
        client = openai.OpenAI(base_url=running.base_url, api_key="sk-any")

Everything runs in one thread, on one event loop; virtual time only moves inside that loop. Imports:
`relaysim.sim.doors`, and `uvicorn` with `httptools`; this package itself imports neither, so that naming it costs
nothing.
"""

from __future__ import annotations

CONTROL_PREFIX = "/_relaysim"
"""Where the control API is; the sub-application sees paths with this prefix."""

HEALTH_PATH = "/healthz"
"""Answers 200 while the server runs."""

METRICS_PATH = "/metrics"
"""What the server has answered, in Prometheus' text format."""

__all__ = ["CONTROL_PREFIX", "HEALTH_PATH", "METRICS_PATH"]
