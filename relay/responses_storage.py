"""Where what was said is kept between turns on Responses: in a conversation, in a chain, or with the relay itself.

    conversation  a conversation of the API, which a turn locks; its id is the message's, or stands in Redis
    chain         the id of the customer's last response stands in Redis and is continued; no conversation, no lock
    client        the words themselves stand in a Redis list and are sent along with each turn, `store=false`; no lock

A chain and a list of words are written when the answer is there: of two turns at once neither reads what the other brought.
"""

import json
from abc import ABC, abstractmethod
from typing import Any, Final, Literal

import redis.asyncio

from relaysim.relay.messages import IncomingMessage

Storage = Literal["conversation", "chain", "client"]

CONVERSATION_KEY_PREFIX: Final = "conversation:"
"""Redis keys that hold a customer's conversation id, where a message does not tell it."""
RESPONSE_KEY_PREFIX: Final = "response:"
"""Redis keys that hold the id of the last response."""
HISTORY_KEY_PREFIX: Final = "history:"
"""Redis lists of what a customer and the model have said, an item of the API in each entry."""


class Kept(ABC):
    """What a turn is given of what was said before, and what is kept of it.

    Args:
        openai_client: an `openai.AsyncOpenAI`.
        redis_client: where ids or words stand.
    """

    def __init__(self, openai_client: Any, redis_client: redis.asyncio.Redis) -> None:
        self._conversations = openai_client.conversations
        self._redis = redis_client

    @abstractmethod
    async def turn(self, message: IncomingMessage, text: str) -> dict[str, Any]:
        """The parameters of a turn with this text."""

    async def keep(self, message: IncomingMessage, text: str, response_id: str, answer: str) -> None:  # noqa: B027
        """The turn was answered. By default nothing is left to do: the API keeps it."""


class InConversation(Kept):
    """See the module."""

    async def turn(self, message: IncomingMessage, text: str) -> dict[str, Any]:
        return {"conversation": await self._id_of(message), "input": text}

    async def _id_of(self, message: IncomingMessage) -> str:
        """The customer's conversation: as the message tells it, or from Redis, created first if there is none."""
        if message.thread_id is not None:
            return message.thread_id
        key = CONVERSATION_KEY_PREFIX + message.conversation
        known = await self._redis.get(key)
        if known is None:
            created = (await self._conversations.create()).id
            await self._redis.set(key, created, nx=True)  # whoever wrote first is right
            known = await self._redis.get(key) or created
        return text_of(known)


class InChain(Kept):
    """See the module."""

    async def turn(self, message: IncomingMessage, text: str) -> dict[str, Any]:
        previous = await self._redis.get(RESPONSE_KEY_PREFIX + message.conversation)
        chain = {} if previous is None else {"previous_response_id": text_of(previous)}
        return {"input": text, **chain}

    async def keep(self, message: IncomingMessage, text: str, response_id: str, answer: str) -> None:
        await self._redis.set(RESPONSE_KEY_PREFIX + message.conversation, response_id)


class AtClient(Kept):
    """See the module."""

    async def turn(self, message: IncomingMessage, text: str) -> dict[str, Any]:
        said = await self._redis.lrange(HISTORY_KEY_PREFIX + message.conversation, 0, -1)
        return {"input": [*(json.loads(each) for each in said), _item("user", text)], "store": False}

    async def keep(self, message: IncomingMessage, text: str, response_id: str, answer: str) -> None:
        items = (json.dumps(_item(role, words)) for role, words in (("user", text), ("assistant", answer)))
        await self._redis.rpush(HISTORY_KEY_PREFIX + message.conversation, *items)


STORAGES: Final[dict[Storage, type[Kept]]] = {"conversation": InConversation, "chain": InChain, "client": AtClient}


def _item(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def text_of(value: object) -> str:
    """What stands in Redis, as a text."""
    return value.decode() if isinstance(value, bytes) else str(value)
