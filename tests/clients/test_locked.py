"""Unmodified clients meet a locked conversation over a socket: what was measured of them comes out again.

Here run the Python SDK of the project's own environment and the newest npm package, in `make soak` also `openai-agents` for
both; `run_locked.py` runs all that there are.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import run_clients
import run_locked

CLIENTS = {client.name: client for client in run_locked.clients()}


def hold(name: str) -> dict[str, Any]:
    command = [sys.executable, str(run_locked.HERE / "locked.py")] if name == "python-3" else None
    return run_locked.hold(CLIENTS[name], command)


@pytest.fixture(scope="module")
def held(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """What each client sees whose test is selected. Two at once: most of each is waiting, in real time."""
    callspecs = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    names = [each.params["name"] for each in callspecs if each is not None and "name" in each.params]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(hold, name) for name in dict.fromkeys(names)}


@pytest.mark.parametrize(
    "name",
    [
        "python-3",
        "npm-7",
        pytest.param("agents-python", marks=pytest.mark.soak),
        pytest.param("agents-npm", marks=pytest.mark.soak),
    ],
)
def test_it_asks_as_it_was_measured_to(name: str, held: dict[str, Future[dict[str, Any]]]) -> None:
    lacking = run_clients.missing_tools(CLIENTS[name])
    try:
        seen = held[name].result()
    except run_clients.CannotRunError as error:
        if (lacking is None and name in ("python-3", "npm-7")) or os.environ.get("RELAYSIM_REQUIRE_NODE") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert run_locked.unlike(CLIENTS[name], seen) == []


def as_expected(name: str) -> dict[str, Any]:
    seen = copy.deepcopy(run_locked.EXPECTED)
    seen |= {"version": CLIENTS[name].version, "azure": dict(seen["locked"]), "session": run_locked.SESSION}
    for part, waits in run_locked.WAITS["agents-python" if name == "agents-python" else "sdk"].items():
        seen[part]["asked"] = [sum(waits[:count]) for count in range(len(waits) + 1)]
    return seen


@pytest.mark.parametrize("client", ["python-3", "agents-python"])
def test_what_is_as_expected_is_not_told(client: str) -> None:
    assert run_locked.unlike(CLIENTS[client], as_expected(client)) == []


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        ("locked", []),
        ("locked", [0.0, 1.0, 3.0]),
        ("locked", [0.0, 1.0, 3.0, 7.0, 15.0]),
        ("locked", [0.0, 2.0, 4.0, 8.0]),
        ("locked", [0.0, 0.75, 2.75, 6.75]),
        ("conflict", [0.0]),
        ("conflict", [0.0, 0.1, 1.1]),
    ],
)
def test_other_requests_are_told(part: str, asked: list[float]) -> None:
    seen = as_expected("agents-python")
    seen[part]["asked"] = asked
    (line,) = run_locked.unlike(CLIENTS["agents-python"], seen)
    assert line.startswith(f"{part}: asked at ")


@pytest.mark.parametrize("part", ["version", "turn", "session", "locked", "released", "conflict"])
def test_another_answer_is_told(part: str) -> None:
    seen = as_expected("agents-python")
    seen[part] = {**seen[part], "error": "Timeout"} if part != "version" else "0.0.1"
    (line,) = run_locked.unlike(CLIENTS["agents-python"], seen)
    assert line.startswith(f"{part}: ")
