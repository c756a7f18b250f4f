"""Bots that raise before they have answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any


class Raising:
    """Reads from a message what is not in it."""

    async def handle(self, message: Any) -> None:
        self.answer({"text": message.text})

    def answer(self, fields: dict[str, str]) -> str:
        return fields["customer"]


def raising(client: Any, redis_client: Any, send: Any) -> Raising:
    return Raising()


class UnreadableError(Exception):
    """What a bot makes of whatever went wrong below."""


class Chained:
    """Raises its own exception in place of the one that a library's call ended in."""

    def __init__(self, how: str) -> None:
        self.how = how

    async def handle(self, message: Any) -> None:
        try:
            await self.answer(message.text)
        except (ValueError, LookupError, ExceptionGroup) as error:
            match self.how:
                case "logged":
                    logging.getLogger("bot").exception("cannot answer")
                case "cause" | "group":
                    raise UnreadableError("no answer") from error
                case "context":
                    raise UnreadableError("no answer")  # noqa: B904
                case _:
                    raise UnreadableError("no answer") from None

    async def answer(self, text: str) -> None:
        if self.how == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(self.read(text))
            return
        await self.read(text)

    async def read(self, text: str) -> None:
        try:
            json.loads(f"{{{text}")
        except ValueError:
            raise LookupError("nothing to read")  # noqa: B904


def _chained(how: str) -> Callable[[Any, Any, Any], Chained]:
    return lambda client, redis_client, send: Chained(how)


cause, context, hidden, group, logged = (_chained(how) for how in ("cause", "context", "hidden", "group", "logged"))
