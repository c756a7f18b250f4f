"""What the simulator relies on in the Python SDK; a new version that changes it is seen here first."""

from __future__ import annotations

import asyncio
import inspect
import random
import warnings
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import openai._base_client
import openai._utils._sync
import pytest

from relaysim.sim.doors.transport import API_KEY, BASE_URL


def ask(answer: Callable[[httpx2.Request], httpx2.Response]) -> Any:
    """What retrieving a run gives over a transport that answers so."""

    async def use() -> Any:
        http_client = openai.DefaultAsyncHttpxClient(transport=httpx2.MockTransport(answer), trust_env=False)
        async with openai.AsyncOpenAI(api_key=API_KEY, base_url=BASE_URL, http_client=http_client) as client:
            return await client.beta.threads.runs.retrieve("run_1", thread_id="thread_1")

    return asyncio.run(use())


def test_every_call_says_that_the_api_is_deprecated() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ask(lambda request: httpx2.Response(200, json={"id": "run_1"}))
    assert any(issubclass(each.category, DeprecationWarning) for each in caught)


def test_the_http_client_is_httpx2_and_takes_a_transport() -> None:
    assert issubclass(openai.DefaultAsyncHttpxClient, httpx2.AsyncClient)


def test_random_is_bound_early() -> None:
    assert vars(openai._base_client)["random"] is random.random


def test_a_thread_is_used_once_to_learn_the_platform() -> None:
    assert "to_thread" in inspect.getsource(openai._utils._sync)
    assert "get_platform" in inspect.getsource(openai._base_client)


def test_only_exceptions_of_httpx2_look_like_a_network() -> None:
    tried: list[str] = []

    def fail(request: httpx2.Request) -> httpx2.Response:
        tried.append(request.url.path)
        raise LookupError("not a network")

    with pytest.raises(LookupError, match="not a network"):
        ask(fail)
    assert len(tried) == 1


def test_cancel_takes_the_thread_by_name_only() -> None:
    parameters = inspect.signature(openai.resources.beta.threads.AsyncRuns.cancel).parameters
    assert parameters["thread_id"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["run_id"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def test_answers_are_not_validated() -> None:
    run = ask(lambda request: httpx2.Response(200, json={"id": "run_1", "status": "a state of tomorrow"}))
    assert run.status == "a state of tomorrow"
    assert not hasattr(run, "thread_id") or run.thread_id is None
