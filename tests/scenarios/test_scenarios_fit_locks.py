"""Goal: `relaysim fit` reads what the policies on Responses log: which retry got through, and that no cancel freed anything.

Method: the policy itself against a client that is locked for so many attempts, with short waits; its lines and events
in a file.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from relaysim.relay import Message, retry_on_lock
from relaysim.relay.telemetry import Telemetry
from relaysim.scenarios.cli import main

LOCKS = [1] * 30 + [2] * 9 + [3] * 6 + [9] * 5  # refusals that each message meets
WAITS = [0.001, 0.002, 0.003]


class LockedClient:
    """Refuses each message's turn so many times."""

    def __init__(self) -> None:
        self.responses = self.conversations = self
        self.left: dict[str, int] = {}

    async def create(self, *, conversation: str, **_: Any) -> Any:
        left = self.left[conversation]
        self.left[conversation] = left - 1
        if left > 0:
            response = httpx2.Response(400, request=httpx2.Request("POST", "https://api.invalid/v1/responses"))
            raise openai.BadRequestError("busy", response=response, body={"code": "conversation_locked"})
        return SimpleNamespace(id=f"resp_{conversation}", status="completed", output_text="Yes.")


def write_log(path: Path) -> None:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("relay")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    client = LockedClient()

    async def send(conversation: str, text: str) -> None: ...

    async def handle_all() -> None:
        relay = retry_on_lock(client, SimpleNamespace(), send, telemetry=Telemetry(), waits=WAITS)  # type: ignore[arg-type]
        for number, locks in enumerate(LOCKS):
            client.left[f"conv_{number}"] = locks
            await relay.handle(
                Message(id=f"m{number}", conversation=f"c{number}", text="Hi", thread_id=f"conv_{number}")
            )

    try:
        asyncio.run(handle_all())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def test_endings_are_counted_and_no_cancel_is_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "relay.log")
    assert main(["fit", "relay.log", "--quiet", "--out", "out"]) == 0
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    conflicts = results["conflicts"]
    assert {each["ending"]: (each["count"], each["n"], each["profile"]) for each in conflicts["endings"]} == {
        "recovered_at_2": (30, 50, None),
        "recovered_at_3": (9, 50, None),
        "recovered_at_4": (6, 50, None),
        "failed": (5, 50, None),
    }
    assert (conflicts["locked"], conflicts["met"]) == (50, 50)
    claims = {claim["id"]: (claim["count"], claim["n"]) for claim in results["claims"]}
    assert claims["first-retry"] == (30, 50)
    assert claims["success"] == (45, 50)
    cancel = next(each for each in results["numbers"] if each["number"] == "cancel_seconds")
    assert cancel["status"] == "kept"
    assert "50 conflicts waited for a conversation's lock" in json.dumps(cancel)
    assert results["log"]["broken_events"] == 0
