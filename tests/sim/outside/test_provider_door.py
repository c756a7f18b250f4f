"""Goal: a text whose fate is not to be known is not known to any client, whether it reads the body of an answer or not.

Method: bytes on a connection, which is all that a program can see.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

from relaysim.sim.doors.server.listener import Listener
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.outside.outside_server import OutsideServer
from relaysim.sim.outside.provider_door import PROVIDER_PREFIX, ProviderDoor
from relaysim.sim.providers import HttpRequest, HttpResponse
from relaysim.sim.providers.whatsapp import WhatsApp


async def answered(response: HttpResponse | None) -> bytes:
    """What a client gets for a text."""

    async def answer(request: HttpRequest, worker: str) -> HttpResponse | None:
        return response

    server = OutsideServer(ApiSettings(), 1.0, 0.0)
    server.door = ProviderDoor(WhatsApp(), answer, lambda scope: "w1", server.pacer)
    listener = Listener(server)
    await listener.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        lines = (
            f"POST {PROVIDER_PREFIX}/v21.0/1/messages HTTP/1.1",
            "Host: x",
            "Connection: close",
            "Content-Length: 2",
        )
        writer.write("\r\n".join((*lines, "", "{}")).encode())
        got = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return got
    finally:
        await listener.stop()


def test_a_text_of_unknown_fate_has_no_answer_not_even_a_head(caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(answered(None)) == b""
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_one_that_was_taken_is_answered() -> None:
    got = asyncio.run(answered(HttpResponse(200, {"x-seen": "yes"}, b"{}")))
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.endswith(b"\r\n\r\n{}")
