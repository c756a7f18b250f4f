"""Goal: code on the loop of a host with sockets reaches simulated services by their addresses, and nothing else.

Method: services of the tests' own behind addresses, and clients as users have them; a kernel without a world.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
from example_services import make_addresses

from relaysim.sim.kernel import Fence, Kernel, LeavesSimulationError, current_context
from relaysim.sim.sockets import Addresses, SocketCalls, open_sockets

Run = Callable[..., Any]


@pytest.fixture
def addresses() -> Addresses:
    return make_addresses()


@pytest.fixture
def run(addresses: Addresses) -> Iterator[Run]:
    """Runs coroutine functions, each on a host of its own, and returns what they returned."""
    kernel = Kernel(1, 2)

    def do(*functions: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        tasks = []
        for number, function in enumerate(functions):
            host = kernel.host(f"w{number}")
            open_sockets(host, addresses)
            tasks.append(host.spawn(function()))
        kernel.run()
        return [task.result() for task in tasks]

    with Fence() as fence, SocketCalls():
        SocketCalls.install()
        fence.attach(kernel)
        try:
            yield do
        finally:
            kernel.close()
            fence.attach(None)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_bytes_go_to_a_service_and_back_in_virtual_time(run: Run) -> None:
    async def talk() -> Any:
        reader, writer = await asyncio.open_connection("Echo.Example", 7)
        writer.write(b"good ")
        writer.write(b"day")
        first = await reader.readexactly(8)
        at = now()
        writer.write_eof()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        return first, at, rest, writer.get_extra_info("peername")[1]

    assert run(talk) == [(b"good day", 2.0, b"goodbye", 7)]


def test_tls_is_passed_over_also_on_a_connection_that_is_there(run: Run) -> None:
    async def talk() -> Any:
        reader, writer = await asyncio.open_connection("echo.example", 7)
        await writer.start_tls(ssl.create_default_context(), server_hostname="echo.example")
        writer.write(b"good day")
        seen = await reader.readexactly(8), writer.get_extra_info("ssl_object").version()
        writer.close()
        return seen

    assert run(talk) == [(b"good day", "TLSv1.3")]


def test_a_service_hears_of_a_client_that_leaves_and_whether_it_was_cancelled(run: Run, addresses: Addresses) -> None:
    echo: Any = addresses.service_at("echo.example", 7)

    async def leave() -> None:
        _, writer = await asyncio.open_connection("echo.example", 7)
        writer.close()

    async def be_cancelled() -> None:
        _, writer = await asyncio.open_connection("echo.example", 7)
        try:
            async with asyncio.timeout(1.0):
                try:
                    await asyncio.sleep(5.0)
                finally:
                    writer.close()
        except TimeoutError:
            pass

    run(leave, be_cancelled)
    assert echo.closed == [False, True]


def test_a_name_has_one_address_in_every_world_and_leads_back_to_its_service(addresses: Addresses) -> None:
    number = addresses.number_of("echo.example")
    assert number.startswith("198.1")
    assert Addresses().number_of("ECHO.example.") == number
    assert addresses.service_at(number, 7) is addresses.service_at("echo.example", 7)
    assert addresses.service_at(number, 8) is None
    assert [addresses.number_of(each) for each in ("10.1.2.3", "::1", "localhost")] == ["10.1.2.3", "::1", "127.0.0.1"]


def test_an_address_at_which_nobody_stands_is_refused_with_the_line(run: Run) -> None:
    async def stray() -> None:
        async with httpx2.AsyncClient() as client:
            await client.get("https://api.example.com/v1")  # here

    with pytest.raises(
        LeavesSimulationError, match=r"test_sockets_loop\.py:\d+: connecting to api\.example\.com:443 .*echo"
    ):
        run(stray)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_requests_are_answered_over_one_connection(run: Run, addresses: Addresses, scheme: str) -> None:
    shop: Any = addresses.service_at("shop.example", 443)

    async def buy() -> Any:
        current_context.set("c1.m1#1")
        async with httpx2.AsyncClient(base_url=f"{scheme}://shop.example") as client:
            first = await client.post("/pay?n=1", json={"card": "4" * 100_000})
            current_context.set("c1.m2#1")
            second = await client.get("/")
            return first.status_code, first.json(), second.headers["x-host"], now()

    assert run(buy) == [(201, {"paid": True}, "shop.example", 1.0)]
    asked = shop._service.asked
    assert [(method, target, len(body), context) for method, target, body, context in asked] == [
        ("POST", "/pay?n=1", 100_011, "c1.m1#1"),
        ("GET", "/", 0, "c1.m2#1"),
    ]


def test_pieces_of_a_body_come_as_they_are_sent(run: Run) -> None:
    async def listen() -> Any:
        heard = []
        async with httpx2.AsyncClient() as client, client.stream("GET", "https://shop.example/stream") as response:
            heard = [(now(), line) async for line in response.aiter_lines() if line]
        return heard, response.headers["transfer-encoding"]

    assert run(listen) == [([(0.5, "data: 0"), (1.5, "data: 1"), (2.5, "data: 2")], "chunked")]


LIBRARIES = pytest.mark.parametrize("library", ["httpx", "httpx2", "aiohttp"])


async def _get(library: str, target: str) -> tuple[int, list[tuple[float, bytes]]]:
    """The status and the pieces of a body, each with when it came."""
    url = f"https://shop.example{target}"
    if library == "aiohttp":
        made = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=3.0))
        async with made as session, session.get(url) as response:
            return response.status, [(now(), each) async for each in response.content.iter_any()]
    module: Any = {"httpx": httpx, "httpx2": httpx2}[library]
    async with module.AsyncClient(timeout=3.0) as client, client.stream("GET", url) as response:
        return response.status_code, [(now(), each) async for each in response.aiter_raw()]


@LIBRARIES
def test_each_library_gets_answers_and_pieces_when_they_are_sent(run: Run, library: str) -> None:
    async def ask() -> Any:
        return await _get(library, "/"), await _get(library, "/stream")

    pieces = [(1.0, b"data: 0\n\n"), (2.0, b"data: 1\n\n"), (3.0, b"data: 2\n\n")]
    assert run(ask) == [((201, [(0.5, b'{"paid": true}')]), (200, pieces))]


@LIBRARIES
@pytest.mark.parametrize(("target", "seconds"), [("/silent", 3.0), ("/reset", 0.5), ("/cut", 0.5)])
def test_each_library_notices_what_goes_wrong(run: Run, library: str, target: str, seconds: float) -> None:
    async def fail() -> Any:
        try:
            await _get(library, target)
        except Exception as error:
            return type(error).__name__, now()

    ((name, at),) = run(fail)
    names = {
        "/silent": {"ReadTimeout", "SocketTimeoutError"},
        "/reset": {"ReadError", "ClientOSError", "ServerDisconnectedError"},
        "/cut": {"RemoteProtocolError", "ClientPayloadError"},
    }
    assert name in names[target]
    asks_again = library == "aiohttp" and target == "/reset"  # once, what may be asked twice
    assert at == seconds * (2 if asks_again else 1)


def test_a_server_has_no_tasks_in_the_process_of_its_client(run: Run) -> None:
    async def look() -> tuple[int, int]:
        asked = asyncio.create_task(_get("httpx2", "/"))
        await asyncio.sleep(0.25)
        return len(asyncio.all_tasks()), (await asked)[0]

    assert run(look) == [(2, 201)]


def test_a_server_speaks_http_as_servers_do(run: Run) -> None:
    """It asks for a body that waits to be asked for, takes requests in pieces and several at once, and refuses others."""

    async def talk() -> Any:
        reader, writer = await asyncio.open_connection("shop.example", 80)
        writer.write(b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        proceed = await reader.readuntil(b"\r\n\r\n")
        for piece in (b"bo", b"dyGET /a HTTP/1.1\r\nHo", b"st: shop.example\r\n\r\nNO HTTP\r\n\r\n"):
            writer.write(piece)
            await asyncio.sleep(0.1)
        answers = await reader.read()
        writer.close()
        return proceed, re.findall(rb"HTTP/1\.1 \d+ \w+", answers)

    (result,) = run(talk)
    assert result == (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        [b"HTTP/1.1 201 Created", b"HTTP/1.1 201 Created", b"HTTP/1.1 400 Bad"],
    )


def test_tls_and_certificates_are_real_outside_of_hosts_with_sockets() -> None:
    with SocketCalls():
        SocketCalls.install()
        context = ssl.create_default_context()
        made = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="shop.example")
        assert isinstance(made, ssl.SSLObject)
    assert "load_verify_locations" not in vars(ssl.SSLContext)
