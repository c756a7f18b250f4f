"""Relays that are broken on purpose: each must fail the gate that guards what it breaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from relaysim import relay
from relaysim.relay import FRIENDLY_APOLOGY, GENERIC_APOLOGY

Send = Callable[[str, str], Awaitable[None]]


class _GrantsEverything:
    """A Redis whose locks lock nobody out."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def set(self, *args: Any, **kwargs: Any) -> bool:
        return True

    async def eval(self, *args: Any, **kwargs: Any) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def unlocked(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """No lock: each worker believes that it holds one."""
    return relay.cancel_and_retry(openai_client, _GrantsEverything(redis_client), send, **settings)  # type: ignore[arg-type]


def replies_twice(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """Each text goes out twice."""

    async def twice(conversation: str, text: str) -> None:
        await send(conversation, text)
        await send(conversation, text)

    return relay.cancel_and_retry(openai_client, redis_client, twice, **settings)


def swaps_its_texts(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """The generic apology where the friendly one belongs, and the other way round."""
    swapped = {FRIENDLY_APOLOGY: GENERIC_APOLOGY, GENERIC_APOLOGY: FRIENDLY_APOLOGY}

    async def other(conversation: str, text: str) -> None:
        await send(conversation, swapped.get(text, text))

    return relay.cancel_and_retry(openai_client, redis_client, other, **settings)


def sends_to_a_neighbour(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """Texts for the first customer go to the second."""

    async def elsewhere(conversation: str, text: str) -> None:
        await send("c2" if conversation == "c1" else conversation, text)

    return relay.cancel_and_retry(openai_client, redis_client, elsewhere, **settings)


def stays_silent(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """No text is ever sent."""

    async def nothing(conversation: str, text: str) -> None:
        return None

    return relay.cancel_and_retry(openai_client, redis_client, nothing, **settings)


def makes_up_log_lines(openai_client: Any, redis_client: Any, send: Send, **settings: Any) -> Any:
    """Logs under another wording."""
    made = relay.cancel_and_retry(openai_client, redis_client, send, **settings)
    lines = made._lines
    made._lines = type(lines)(
        **{name: getattr(lines, name).replace("[OpenAI] Waiting", "[OpenAI] Sleeping") for name in lines.__slots__}
    )
    return made
