"""Goal: a page in a browser may call the served API, and not its control API.

Method: the requests that browsers send, over a socket, since no browser is installed here.
"""

from __future__ import annotations

import httpx2
import pytest

from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

PAGE = {"origin": "https://shop.example"}
KEY = {"authorization": "Bearer sk-page", "openai-beta": "assistants=v2"}
ASKED = {
    **PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,openai-beta,x-stainless-lang",
}


@pytest.fixture(scope="module")
def served():
    with (
        BackgroundServer(ApiSettings(assistants="any", latency=False), speed=0.0) as server,
        httpx2.Client(base_url=server.base_url.removesuffix("/v1"), trust_env=False) as http,
    ):
        yield http


@pytest.mark.parametrize("path", ["/v1/threads", "/v1/chat/completions", "/openai/threads?api-version=1"])
def test_a_preflight_lets_in_every_header_that_is_asked_for(served: httpx2.Client, path: str) -> None:
    answer = served.request("OPTIONS", path, headers={**ASKED, "access-control-request-private-network": "true"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == ASKED["access-control-request-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"


def test_answers_are_for_the_page_whatever_they_say(served: httpx2.Client) -> None:
    thread = served.post("/v1/threads", headers={**KEY, **PAGE}, json={})
    refused = served.post("/v1/threads", headers=PAGE, json={})
    streamed = served.post(
        "/v1/chat/completions",
        headers={**KEY, **PAGE},
        json={"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]},
    )
    assert [answer.status_code for answer in (thread, refused, streamed)] == [200, 401, 200]
    for answer in (thread, refused, streamed):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_who_comes_from_no_page_is_told_nothing_of_it(served: httpx2.Client) -> None:
    assert "access-control-allow-origin" not in served.post("/v1/threads", headers=KEY, json={}).headers
    assert served.request("OPTIONS", "/v1/threads", headers=KEY).status_code == 405


def test_the_control_api_is_for_no_page(served: httpx2.Client) -> None:
    for answer in (
        served.request("OPTIONS", "/_relaysim/clock/advance", headers=ASKED),
        served.get("/_relaysim", headers=PAGE),
    ):
        assert "access-control-allow-origin" not in answer.headers
