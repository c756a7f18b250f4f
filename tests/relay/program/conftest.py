"""What the tests of the program share: a Redis that keeps what it takes, the simulated API, and a provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from program_runs import Phone, environment_of, keeping_server

from relaysim.sim.backends.threads.fixtures import ServedOpenAI
from relaysim.sim.providers import WhatsApp

SPEED = 20.0
"""Virtual seconds of the API per real second: its runs take about half a second."""


@pytest.fixture(scope="module")
def api() -> Iterator[ServedOpenAI]:
    with ServedOpenAI(speed=SPEED) as served:
        yield served


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with keeping_server(tmp_path_factory.mktemp("kept")) as how:
        yield how


@pytest.fixture
def store(connection: dict[str, Any]) -> Iterator[redis.Redis]:
    with redis.Redis(**connection, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def whatsapp() -> WhatsApp:
    return WhatsApp()


@pytest.fixture
def phone(whatsapp: WhatsApp) -> Iterator[Phone]:
    with Phone(whatsapp) as server:
        yield server


@pytest.fixture
def environment(
    whatsapp: WhatsApp, phone: Phone, connection: dict[str, Any], store: redis.Redis, api: ServedOpenAI, tmp_path: Path
) -> dict[str, str]:
    """A whole configuration, for WhatsApp and the simulated API."""
    url = f"unix://{connection['unix_socket_path']}"
    return {**environment_of(whatsapp, phone.url, url, tmp_path), **api.environment()}
