"""The relay of `race`, with its OpenAI client's calls written down. Made by the world, through its factory's name."""

from __future__ import annotations

from typing import Any

from relaysim import relay
from tests.benchmarks.calls import Script, recording_client


def recorded(openai_client: Any, redis_client: Any, send: Any, **settings: Any) -> Any:
    """As `relaysim.relay.cancel_and_retry`, on a recording client in place of the given one."""
    transport = openai_client._client._transport
    script = Script()
    vars(transport._network).setdefault("scripts", []).append(script)  # this module is gone when its world is
    client = recording_client(transport._host, transport._network, script)
    return relay.cancel_and_retry(client, redis_client, send, **settings)
