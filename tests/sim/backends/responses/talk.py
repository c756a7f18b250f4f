"""A conversation and its newest response, by raw requests, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from doors import Door, Response


class Talk:
    """A conversation and its newest response, by raw requests."""

    def __init__(self, door: Door, conversation: str) -> None:
        self.door, self.conversation, self.response = door, conversation, ""

    @classmethod
    async def begin(cls, door: Door) -> Talk:
        return cls(door, (await door.send("POST", "/conversations", {})).json["id"])

    async def ask(self, **params: Any) -> Response:
        """A turn, in the background unless said otherwise."""
        body = {"model": "m", "input": "Hello", "conversation": self.conversation, "background": True, **params}
        answer = await self.door.send("POST", "/responses", body)
        if answer.status == 200 and answer.json:
            self.response = answer.json["id"]
        return answer

    async def shown(self) -> Any:
        return (await self.door.send("GET", f"/responses/{self.response}")).json

    async def items(self) -> list[Any]:
        page = await self.door.send("GET", f"/conversations/{self.conversation}/items?order=asc")
        found: list[Any] = page.json["data"]
        return found
