"""Goal: plain code on a host with sockets reaches simulated services with whatever library, and waits in virtual time.

Method: each library once through, against services of the tests' own. What a host lets plain code wait with is here a kernel
that is run from outside until the coroutine has ended.
"""

from __future__ import annotations

import http.client
import select
import selectors
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import httpx
import httpx2
import pytest
import requests
from example_services import make_addresses

from relaysim.sim.kernel import Fence, Host, Kernel, LeavesSimulationError
from relaysim.sim.sockets import SocketCalls, open_sockets

Plain = Callable[[Callable[[], Any]], Any]


@contextmanager
def _world() -> Iterator[Plain]:
    """Runs functions as plain code of a host of its own; gives what they return."""
    kernel = Kernel(1, 2)
    host, waiting = kernel.host("w1"), kernel.host("w1")

    def wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = waiting.spawn(coroutine)
        while not task.done():
            assert kernel.env.peek() < float("inf") or kernel._turns, "waits for ever"
            kernel.advance_to(kernel.now if kernel._turns else kernel.env.peek())
        return task.result()

    addresses = make_addresses()
    for each in (host, waiting):
        open_sockets(each, addresses, wait)
    with Fence() as fence, SocketCalls():
        SocketCalls.install()
        fence.attach(kernel)
        try:
            yield host.call
        finally:
            kernel.close()
            fence.attach(None)


@pytest.fixture
def plain() -> Iterator[Plain]:
    with _world() as run:
        yield run


def _with_urllib(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=3.0) as response:
        return response.status, response.read()


def _with_http_client(url: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("shop.example", timeout=3.0)
    connection.request("GET", url.removeprefix("https://shop.example"))
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def _with_requests(url: str) -> tuple[int, bytes]:
    with requests.get(url, timeout=3.0) as response:
        return response.status_code, response.content


def _with_httpx(url: str) -> tuple[int, bytes]:
    response = httpx.get(url, timeout=3.0)
    return response.status_code, response.content


def _with_httpx2(url: str) -> tuple[int, bytes]:
    response = httpx2.get(url, timeout=3.0)
    return response.status_code, response.content


LIBRARIES = pytest.mark.parametrize(
    "get", [_with_urllib, _with_http_client, _with_requests, _with_httpx, _with_httpx2], ids=lambda get: get.__name__
)


@LIBRARIES
def test_each_library_gets_its_answer_in_virtual_time(plain: Plain, get: Any) -> None:
    assert plain(lambda: (get("https://shop.example/"), time.monotonic())) == ((201, b'{"paid": true}'), 0.5)


@LIBRARIES
def test_each_library_gets_the_pieces_of_a_body(plain: Plain, get: Any) -> None:
    expected = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert plain(lambda: (get("https://shop.example/stream"), time.monotonic())) == ((200, expected), 3.5)


@LIBRARIES
@pytest.mark.parametrize(("target", "seconds"), [("/silent", 3.0), ("/reset", 0.5), ("/cut", 0.5)])
def test_each_library_notices_what_goes_wrong_in_virtual_time(
    plain: Plain, get: Any, target: str, seconds: float
) -> None:
    def fail() -> tuple[str, float]:
        try:
            get(f"https://shop.example{target}")
        except Exception as error:
            return type(error).__name__, time.monotonic()
        return "nothing", 0.0

    name, at = plain(fail)
    assert at == seconds
    names = {
        "/silent": {"TimeoutError", "ReadTimeout"},
        "/reset": {"ConnectionResetError", "URLError", "ConnectionError", "ReadError"},
        "/cut": {"IncompleteRead", "ChunkedEncodingError", "RemoteProtocolError"},
    }
    assert name in names[target]


def test_a_session_keeps_its_connection_while_it_lives(plain: Plain) -> None:
    """Whether it does is asked of `select.poll`: what was reset meanwhile is not used again."""

    def ask() -> list[int]:
        ports = []
        with requests.Session() as session:
            for target in ("/a", "/b", "/reset", "/c"):
                try:
                    response = session.get(f"https://shop.example{target}", stream=True)
                except requests.ConnectionError:
                    continue
                ports.append(response.raw.connection.sock.getsockname()[1])
                assert response.content
        return ports

    first, second, third = plain(ask)
    assert first == second != third


def test_a_client_that_outlives_its_world_finds_its_connections_reset() -> None:
    """As one that a library keeps in its module, for all processes that are simulated here."""
    with requests.Session() as session, httpx.Client() as client:

        def ask() -> list[int]:
            first, second = session.get("https://shop.example/", stream=True), client.get("https://shop.example/")
            port = first.raw.connection.sock.getsockname()[1]
            assert first.content == second.content  # read whole, so that the connection can be used again
            return [port, first.status_code, second.status_code]

        for _ in range(2):
            with _world() as run:
                assert run(ask)[1:] == [201, 201]
                port = run(ask)[0]
                assert run(ask)[0] == port


def test_a_socket_does_what_sockets_do(plain: Plain) -> None:
    def talk() -> None:
        with socket.create_connection(("echo.example", 7), timeout=3.0) as made:
            assert isinstance(made, socket.socket)
            assert made.getpeername() == (socket.gethostbyname("echo.example"), 7)
            assert made.gettimeout() == 3.0
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert made.send(b"good ") == 5
            made.sendall(memoryview(b"day"))
            assert made.recv(2, socket.MSG_PEEK) == b"go"
            assert time.monotonic() == 2.0
            buffer = bytearray(4)
            assert (made.recv_into(buffer), bytes(buffer)) == (4, b"good")
            file = made.makefile("rwb")
            assert file.read(4) == b" day"
            with pytest.raises(TimeoutError, match="timed out"):
                made.recv(1)
            assert time.monotonic() == 5.0
            made.setblocking(False)
            with pytest.raises(BlockingIOError):
                made.recv(1)
            assert select.select([made], [made], [], 1.5) == ([], [made], [])
            assert select.select([made], [], [], 1.5) == ([], [], [])
            assert time.monotonic() == 6.5
            with selectors.DefaultSelector() as selector:
                selector.register(made, selectors.EVENT_READ, "data")
                assert selector.select(1.0) == []
                made.sendall(b"again")
                assert [key.data for key, _ in selector.select()] == ["data"]
            assert time.monotonic() == 9.5
            assert made.recv(100) == b"again"
            made.shutdown(socket.SHUT_WR)
            made.settimeout(None)
            assert file.read() == b"goodbye"
            file.close()
            with pytest.raises(BrokenPipeError):
                made.send(b"more")
        assert made.fileno() == -1
        with pytest.raises(OSError, match="Bad file descriptor"):
            made.recv(1)

    plain(talk)


@pytest.mark.parametrize(
    "stray",
    [
        lambda: urllib.request.urlopen("https://api.example.com/"),
        lambda: requests.get("http://10.9.8.7:8080/"),
        lambda: socket.create_connection(("nobody.example", 25)),
        lambda: socket.socket(socket.AF_UNIX),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        lambda: socket.socket().bind(("", 8080)),
        lambda: socket.socket().listen(),
        lambda: select.select([0], [], [], 1.0),
    ],
)
def test_ways_out_are_refused_with_the_line(plain: Plain, stray: Callable[[], Any]) -> None:
    with pytest.raises(LeavesSimulationError, match=r"test_sockets_plain\.py:\d+: "):
        plain(stray)


def test_a_host_whose_plain_code_may_not_wait_says_so() -> None:
    kernel = Kernel(1, 2)
    host = kernel.host("w1")
    open_sockets(host, make_addresses())
    with Fence() as fence, SocketCalls():
        SocketCalls.install()
        fence.attach(kernel)
        with pytest.raises(LeavesSimulationError, match="connecting a socket, which blocks the whole loop,"):
            host.call(lambda: requests.get("https://shop.example/"))
        fence.attach(None)


def test_other_threads_of_this_process_have_real_sockets_while_a_world_runs() -> None:
    begin, seen = threading.Event(), Queue[Any]()

    def look() -> None:
        begin.wait()
        with socket.socket() as made:
            seen.put((type(made), socket.getaddrinfo("127.0.0.1", 80)[0][4], select.select([], [], [], 0.0)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    with _world() as run:
        found = run(lambda: (begin.set(), seen.get(timeout=10.0))[1])
        assert type(run(socket.socket)) is not socket.socket
    thread.join(timeout=10.0)
    assert found == (socket.socket, ("127.0.0.1", 80), ([], [], []))


def test_outside_of_hosts_with_sockets_all_is_real() -> None:
    with SocketCalls():
        SocketCalls.install()
        left, right = socket.socketpair()
        with left, right:
            left.sendall(b"x")
            assert select.select([right], [], [], 1.0) == ([right], [], [])
            with selectors.DefaultSelector() as selector:
                selector.register(right, selectors.EVENT_READ)
                assert len(selector.select(1.0)) == 1
        with socket.socket() as made:
            assert type(made) is socket.socket
        assert isinstance(Host, type)
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
    assert select.select.__module__ == "select"
    assert "__new__" not in vars(socket.socket)


def test_a_pair_of_sockets_wakes_whoever_waits_for_one_of_them(plain: Plain) -> None:
    def work() -> list[Any]:
        reader, writer = socket.socketpair()
        found: list[Any] = [select.select([reader], [], [], 0.5)[0], time.monotonic()]
        writer.send(b"wake")
        poll = select.epoll()
        poll.register(reader.fileno(), select.EPOLLIN)
        found += [poll.poll(2.0) == [(reader.fileno(), select.EPOLLIN)], reader.recv(9)]
        reader.setblocking(False)
        with pytest.raises(BlockingIOError):
            reader.recv(1)
        reader.sendall(b"back")
        found.append(writer.recv(2) + writer.recv(9))
        writer.close()
        return [*found, reader.recv(1), time.monotonic()]

    assert plain(work) == [[], 0.5, True, b"wake", b"back", b"", 0.5]


def test_a_pair_of_datagrams_is_refused(plain: Plain) -> None:
    with pytest.raises(LeavesSimulationError, match="a pair of sockets that is no stream"):
        plain(lambda: socket.socketpair(type=socket.SOCK_DGRAM))
