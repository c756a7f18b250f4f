"""A bot on asyncio alone, with a client of its own: it answers each message as it comes, and when the thread is busy it says
sorry. What it does besides, before it serves, its first argument says, as Python."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
API, PROVIDER = os.environ["OPENAI_BASE_URL"], os.environ["RELAYSIM_PROVIDER_URL"]
threads: dict[str, asyncio.Task[Any]] = {}
kept: set[asyncio.Task[None]] = set()


async def ask(url: str, body: Any = None) -> Any:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    data = b"" if body is None else json.dumps(body).encode()
    head = [
        f"{'GET' if body is None else 'POST'} {place.path}{'?' * bool(place.query)}{place.query} HTTP/1.1",
        f"host: {place.netloc}",
        "content-type: application/json",
        "authorization: Bearer sk-any",
        "openai-beta: assistants=v2",
        f"content-length: {len(data)}",
        "connection: close",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode() + data)
    head_read, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    if b" 200 " not in head_read.partition(b"\r\n")[0]:
        raise ValueError(answer)
    return json.loads(answer)


async def send(to: str, text: str) -> None:
    texts = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}}
    await ask(f"{PROVIDER}/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages", texts)


async def handle(phone: str, text: str) -> None:
    try:
        if phone not in threads:
            threads[phone] = asyncio.create_task(ask(f"{API}/threads", {}))
        thread = f"{API}/threads/{(await threads[phone])['id']}"
        await ask(f"{thread}/messages", {"role": "user", "content": text})
        run = await ask(f"{thread}/runs", {"assistant_id": "asst_x"})
        while run["status"] in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
            run = await ask(f"{thread}/runs/{run['id']}")
        found = await ask(f"{thread}/messages?limit=1")
        await send(phone, found["data"][0]["content"][0]["text"]["value"])
    except ValueError:
        await send(phone, SORRY)


async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
    body = json.loads(await reader.readexactly(length))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    writer.close()
    for entry in body["entry"]:
        for message in entry["changes"][0]["value"].get("messages", ()):
            kept.add(asyncio.create_task(handle(message["from"], message["text"]["body"])))


async def main() -> None:
    if len(sys.argv) > 1:
        scope: dict[str, Any] = {}
        exec(f"async def besides():\n{sys.argv[1]}", scope)
        kept.add(asyncio.create_task(scope["besides"]()))
    server = await asyncio.start_server(taken, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(main())
