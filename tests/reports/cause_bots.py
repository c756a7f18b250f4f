"""A bot that raises before it has answered."""

from __future__ import annotations

from typing import Any


class Raising:
    """Reads from a message what is not in it."""

    async def handle(self, message: Any) -> None:
        self.answer({"text": message.text})

    def answer(self, fields: dict[str, str]) -> str:
        return fields["customer"]


def raising(client: Any, redis_client: Any, send: Any) -> Raising:
    return Raising()
