"""Goal: the same API at Azure's addresses, for the clients that are made for them, unmodified.

Method: one conversation of `openai.AzureOpenAI`, in virtual time and over a socket, and raw requests for the rest. What
`azure-ai-agents` makes of it is in tests/clients.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from relaysim.sim.backends.azure import place_of
from relaysim.sim.doors.in_process import InProcessApi
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi

SETTINGS: dict[str, Any] = {"assistants": "any", "latency": False, "overrides": {"stuck_probability": 0.0}}
VERSION = "2025-03-01-preview"
PROJECT = "/api/projects/demo"


@contextmanager
def azure_client(door: str, **given: Any) -> Iterator[openai.AzureOpenAI]:
    """An Azure client of a simulated API."""
    given = {"api_version": VERSION, **given}
    if not {"api_key", "azure_ad_token"} & set(given):
        given["api_key"] = "key-of-azure"
    settings = ApiSettings.model_validate(SETTINGS)
    if door == "in process":
        with InProcessApi(settings) as simulated:
            endpoint = "https://mine.openai.azure.com"
            yield openai.AzureOpenAI(azure_endpoint=endpoint, http_client=simulated.http_client(), **given)
    else:
        with BackgroundServer(settings, speed=0.0) as server:
            endpoint = server.base_url.removesuffix("/v1")
            http_client = openai.DefaultHttpxClient(trust_env=False)
            with openai.AzureOpenAI(azure_endpoint=endpoint, http_client=http_client, **given) as client:
                yield client


@pytest.mark.parametrize("door", ["in process", "socket"])
def test_the_sdks_azure_client_meets_the_lock(door: str) -> None:
    with azure_client(door) as client:
        threads = client.beta.threads
        thread = threads.create()  # type: ignore[deprecated]
        threads.messages.create(thread.id, role="user", content="Hello")  # type: ignore[deprecated]
        run = threads.runs.create(thread.id, assistant_id="asst_mine")  # type: ignore[deprecated]
        with pytest.raises(openai.BadRequestError) as refused:
            threads.messages.create(thread.id, role="user", content="Hello?")  # type: ignore[deprecated]
        assert refused.value.message.endswith(f"Can't add messages to {thread.id} while a run {run.id} is active.")
        assert [each.id for each in threads.runs.list(thread.id, limit=5)] == [run.id]  # type: ignore[deprecated]
        # What a deployment is named after stands in the path, and nowhere else.
        said = client.chat.completions.create(model="my-deployment", messages=[{"role": "user", "content": "Hi"}])
        assert (said.model, said.choices[0].message.content) == ("my-deployment", "Reply 1 to: Hi")
        assert len(client.embeddings.create(model="my-embeddings", input="Hi").data[0].embedding) == 1536
        with pytest.raises(openai.BadRequestError, match="relaysim does not simulate"):
            client.images.generate(model="my-images", prompt="a cat")


@pytest.mark.parametrize("given", [{"api_key": "k"}, {"azure_ad_token": "t"}])
def test_a_key_or_a_token_lets_in(given: dict[str, str]) -> None:
    with azure_client("in process", **given) as client:
        assert client.beta.threads.create().id.startswith("thread_")  # type: ignore[deprecated]


def ask(method: str, path: str, headers: dict[str, str], body: Any = None, **settings: Any) -> tuple[int, Any]:
    api = SimulatedApi(ApiSettings.model_validate({**SETTINGS, **settings}), 0.0)
    sent = {"content-type": "application/json", **headers}
    status, _, answer = api.handle(method, path, sent, b"" if body is None else json.dumps(body).encode())
    return status, json.loads(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PROJECT}/threads?api-version=v1", 200),
        (f"{PROJECT}/threads?api-version=2025-05-15-preview", 200),
        (f"{PROJECT}/threads", 400),
        (f"{PROJECT}/threads?api-version=", 400),
        ("/openai/threads?api-version=2024-05-01-preview", 200),
        ("/openai/threads", 404),
        ("/openai/v1/threads", 200),
        (f"{PROJECT}/openai/v1/threads", 200),
        (f"{PROJECT}/nothing?api-version=v1", 404),
        ("/v1/threads?api-version=v1", 400),
    ],
)
def test_which_addresses_there_are_and_which_need_a_version(path: str, status: int) -> None:
    assert ask("POST", path, {"authorization": "Bearer t", "openai-beta": "assistants=v2"}, {})[0] == status


def test_no_beta_header_is_needed_and_the_other_parameters_stay() -> None:
    api = SimulatedApi(ApiSettings.model_validate(SETTINGS), 0.0)
    headers = {"api-key": "k", "content-type": "application/json"}
    for _ in range(3):
        api.handle("POST", "/openai/threads?api-version=v1", headers, b"{}")
    thread = json.loads(api.handle("POST", f"{PROJECT}/threads?api-version=v1", headers, b"{}")[2])["id"]
    for text in ("a", "b", "c"):
        body = json.dumps({"role": "user", "content": text}).encode()
        api.handle("POST", f"{PROJECT}/threads/{thread}/messages?api-version=v1", headers, body)
    listed = f"{PROJECT}/threads/{thread}/messages?limit=1&api-version=v1&order=asc"
    page = json.loads(api.handle("GET", listed, headers, b"")[2])
    assert [each["content"][0]["text"]["value"] for each in page["data"]] == ["a"]
    assert page["has_more"] is True


def test_who_is_not_let_in() -> None:
    path = f"{PROJECT}/threads?api-version=v1"
    status, said = ask("POST", path, {"authorization": "Bearer wrong"}, {}, keys=["right"])
    assert (status, said["error"]["code"]) == (401, "Unauthorized")
    status, said = ask("POST", "/openai/threads?api-version=v1", {"api-key": "wrong"}, {}, keys=["right"])
    assert (status, said["error"]["code"]) == (401, "401")
    assert said["error"]["message"].startswith("Access denied due to invalid subscription key")
    assert ask("POST", path, {"api-key": "right"}, {}, keys=["right"])[0] == 200


def test_what_azure_has_beside_is_no_wrong_method() -> None:
    status, said = ask("GET", f"{PROJECT}/threads?api-version=v1", {"authorization": "Bearer t"})
    assert (status, said["error"]["code"]) == (400, "not_simulated")


def test_an_address_that_is_none_of_azures() -> None:
    assert place_of("/v1/threads", "") is None
    assert place_of("/openaithreads", "api-version=1") is None
