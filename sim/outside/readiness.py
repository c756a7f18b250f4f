"""When copies of a program can take webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from relaysim.sim.outside.program_worker import ProgramTarget, ProgramWorker
from relaysim.sim.outside.programs import Program, ProgramStartError
from relaysim.sim.outside.redis_server import listens
from relaysim.sim.providers import HttpResponse, Provider

START_SECONDS: Final = 60.0
"""How long a copy has to begin."""

_READY_SECONDS: Final = 5.0


async def until_ready(workers: Sequence[ProgramWorker], ready: str | None, client: httpx2.AsyncClient) -> None:
    """Wait until each copy takes connections, or answers with 200 at the path `ready`.

    Raises:
        ProgramStartError: one has ended, or does not come to that.
    """
    for worker in workers:
        target = worker.target
        assert isinstance(target, ProgramTarget)
        until = asyncio.get_running_loop().time() + START_SECONDS
        parts = urlsplit(target.address)
        while not await _is_ready(parts.hostname or "", parts.port or 80, ready, client):
            if worker.program is not None and not worker.program.is_running:
                raise ProgramStartError(_ended(worker.program))
            if asyncio.get_running_loop().time() > until:
                raise ProgramStartError(_not_ready(target.address, parts.netloc, ready, runs=worker.program is None))
            await asyncio.sleep(0.05)


async def verify(workers: Sequence[ProgramWorker], provider: Provider, client: httpx2.AsyncClient) -> None:
    """Let the provider make sure of each copy's address, as it does before it delivers anything.

    Raises:
        ProgramStartError: a copy does not answer as it must.
    """
    request = provider.verification()
    if request is None:
        return
    for worker in workers:
        target = worker.target
        assert isinstance(target, ProgramTarget)
        url = urlunsplit((*urlsplit(target.address)[:2], *urlsplit(request.url)[2:]))
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        what = f"the provider's verification of the webhook, {request.method} {target.address},"
        try:
            got = await client.request(
                request.method, url, headers=headers, content=request.body, timeout=provider.deadline_seconds
            )
        except httpx2.HTTPError as error:
            raise ProgramStartError(f"{what} was not answered ({type(error).__name__})") from error
        if not provider.is_verified(HttpResponse(got.status_code, dict(got.headers), got.content)):
            raise ProgramStartError(f"{what} was answered with status {got.status_code}, and not as it must be")


def _not_ready(address: str, place: str, ready: str | None, *, runs: bool) -> str:
    when = f"{START_SECONDS:g} s after the program was " + ("looked for" if runs else "started")
    if ready is not None:
        return f"http://{place}{ready} (`ready`) was not answered with 200 {when}"
    remedy = "let it listen on the port in PORT, or say where it listens with --webhook"
    if runs:
        remedy = "start it, or write a command after a --"
    return f"nothing listens at {address} {when}; {remedy}"


async def _is_ready(host: str, port: int, ready: str | None, client: httpx2.AsyncClient) -> bool:
    if ready is None:
        return await listens(host, port)
    try:
        answer = await client.get(f"http://{host}:{port}{ready}", timeout=_READY_SECONDS)
    except httpx2.HTTPError:
        return False
    return answer.status_code == 200


def _ended(program: Program) -> str:
    printed = " | ".join(program.last_lines(3)) or "it printed nothing"
    return f"{program.command[0]} has ended with status {program.status}: {printed}"
