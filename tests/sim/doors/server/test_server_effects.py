"""Each kind of fault does on a socket what its row of the table says."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from raw_client import CLOSED, RESET, RawClient

from relaysim.sim.doors.effects import EFFECTS, FaultKind
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

NEEDED: dict[str, dict[str, Any]] = {"status": {"status": 503}, "slow_body": {"seconds": 20.0}}
OF_CONVERSATIONS = [kind for kind, effect in EFFECTS.items() if effect.gone]


def body_without_faults() -> bytes:
    """What the first request of a world is answered."""
    with BackgroundServer(ApiSettings(), speed=0.0) as running, RawClient(running) as client:
        return client.ask("POST", "/v1/threads", {}).body


@pytest.mark.parametrize("kind", [kind for kind in EFFECTS if kind not in OF_CONVERSATIONS])
def test_a_socket_does_what_the_table_says(kind: FaultKind) -> None:
    effect = EFFECTS[kind]
    fault = ApiFault.model_validate({"kind": kind, **NEEDED.get(kind, {})})
    with BackgroundServer(ApiSettings(faults=(fault,)), speed=0.0) as running:

        def stored() -> int:
            return len(running.server.api.service.threads)

        in_time = effect.processed == "in_time" and not effect.replaced
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            if not effect.connects:
                assert client.rest() == (b"", RESET)
            elif not effect.answered:
                assert client.silent(0.1)
            elif effect.slow:
                client.wait_for(b"\r\n\r\n")
                assert client.received == b""
                assert client.silent(0.05)
                running.advance(20.0)
                assert client.wait_for(body_without_faults())
            elif effect.replaced:
                assert client.receive().status == 503
            elif effect.ends == "in_order":
                assert client.receive().body == effect.body(body_without_faults())
            else:
                received, end = client.rest()
                head, _, body = received.partition(b"\r\n\r\n")
                whole = body_without_faults()
                assert (body, end) == (effect.body(whole), RESET if effect.ends == "reset" else CLOSED)
                assert b"content-length: %d\r\n" % len(whole) in head + b"\r\n"
            assert stored() == in_time
        deadline = time.monotonic() + 5.0
        while effect.processed == "late" and not stored() and time.monotonic() < deadline:
            time.sleep(0.002)
        assert stored() == (in_time or effect.processed == "late")
        assert running.server.api.faults.fired == [1]


@pytest.mark.parametrize("kind", OF_CONVERSATIONS)
def test_a_thread_that_is_gone_is_unknown_from_then_on(kind: FaultKind) -> None:
    fault = ApiFault(kind=kind, route="messages.*", nth=(2,))
    with BackgroundServer(ApiSettings(faults=(fault,)), speed=0.0) as running, RawClient(running) as client:
        thread = json.loads(client.ask("POST", "/v1/threads", {}).body)["id"]
        paths = [f"/v1/threads/{thread}/messages"] * 2 + [f"/v1/threads/{thread}"]
        assert [client.ask("GET", path, None).status for path in paths] == [200, 404, 404]
        assert running.server.api.faults.fired == [1]
