"""Goal: what bots call beside a conversation API is answered, or refused in words that say whose fault it is not.

Method: one conversation of the official SDK with every endpoint, through two doors: in process in virtual time, and over a
socket. What the SDK's models need is there, or parsing would not give these values.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pydantic
import pytest

from relaysim.sim.backends import BACKENDS, backend_named
from relaysim.sim.backends.other_endpoints.routes import OTHER_OPERATIONS, SIMULATED_AS, find
from relaysim.sim.backends.wire import Routes
from relaysim.sim.doors.in_process import InProcessApi
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi

KEY = "sk-beside"
ASKED: Any = [{"role": "user", "content": "How are you?"}]

Conversation = Callable[[openai.AsyncOpenAI], Awaitable[None]]
Door = Callable[..., None]


def in_process(conversation: Conversation, **settings: Any) -> None:
    with InProcessApi(ApiSettings.model_validate({"seed": 3, "latency": False, **settings})) as simulated:
        simulated.run(conversation)


def over_a_socket(conversation: Conversation, **settings: Any) -> None:
    import asyncio

    made = ApiSettings.model_validate({"seed": 3, "latency": False, "keys": [KEY], **settings})

    async def hold(base_url: str) -> None:
        async with openai.AsyncOpenAI(
            base_url=base_url, api_key=KEY, http_client=openai.DefaultAsyncHttpxClient(trust_env=False)
        ) as client:
            await conversation(client)

    with BackgroundServer(made, speed=0.0) as server:
        asyncio.run(hold(server.base_url))


@pytest.fixture(params=[in_process, over_a_socket])
def hold(request: pytest.FixtureRequest) -> Door:
    door: Door = request.param
    return door


def test_a_chat_completion_whole_and_in_pieces(hold: Door) -> None:
    async def conversation(client: openai.AsyncOpenAI) -> None:
        whole = await client.chat.completions.create(model="gpt-4o", messages=ASKED)
        assert whole.choices[0].message.content == "Reply 1 to: How are you?"
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage is not None
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 2
        pieces = await client.chat.completions.create(
            model="gpt-4o", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        said, usage, ends = "", None, []
        async for piece in pieces:
            usage = piece.usage or usage
            for choice in piece.choices:
                said += choice.delta.content or ""
                ends += [choice.finish_reason] if choice.finish_reason else []
        assert (said, usage, ends) == ("Reply 1 to: How are you?", whole.usage, ["stop"])

    hold(conversation)


def test_a_script_counts_turns_by_the_answers_that_a_request_brings(hold: Door) -> None:
    call = {"name": "price", "arguments": {"room": 2}, "id": "call_1"}
    script = {
        "kind": "script",
        "replies": [
            {"tool_calls": [call]},
            {"text": "It costs {input}"},
            {"incomplete": "So"},
            {"fail": {"code": "rate_limit_exceeded"}},
        ],
    }

    async def conversation(client: openai.AsyncOpenAI) -> None:
        client = client.with_options(max_retries=0)

        async def ask(*answers: Any) -> Any:
            made = await client.chat.completions.create(model="m", messages=[*ASKED, *answers])
            return made.choices[0]

        first = await ask()
        assert first.finish_reason == "tool_calls"
        assert first.message.content is None
        (asked,) = first.message.tool_calls
        assert (asked.id, asked.function.name, asked.function.arguments) == ("call_1", "price", '{"room": 2}')
        outputs = [
            first.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": "call_1", "content": "3"},
        ]
        assert (await ask(*outputs)).message.content == "It costs How are you?"
        third = await ask(*outputs, {"role": "assistant", "content": "It costs"})
        assert (third.message.content, third.finish_reason) == ("So", "length")
        with pytest.raises(openai.RateLimitError):
            await ask(*[{"role": "assistant", "content": "x"}] * 3)
        streamed = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        names = [
            each.function.name
            async for piece in streamed
            for each in piece.choices[0].delta.tool_calls or ()
            if each.function is not None
        ]
        assert names == ["price"]

    hold(conversation, other_endpoints={"chat": script})


def test_a_completion_fits_the_schema_that_is_asked_for(hold: Door) -> None:
    class Step(pydantic.BaseModel):
        text: str
        mood: bool | None

    class Summary(pydantic.BaseModel):
        kind: str = pydantic.Field(json_schema_extra={"enum": ["order", "other"]})
        steps: list[Step]
        first: Step
        count: int

    async def conversation(client: openai.AsyncOpenAI) -> None:
        parsed = await client.chat.completions.parse(model="m", messages=ASKED, response_format=Summary)
        summary = parsed.choices[0].message.parsed
        assert summary is not None
        assert (summary.kind, summary.count, summary.first.text) == ("order", 0, "Reply 1 to: How are you?")
        plain = await client.chat.completions.create(model="m", messages=ASKED, response_format={"type": "json_object"})
        assert json.loads(plain.choices[0].message.content or "") == {"text": "Reply 1 to: How are you?"}

    hold(conversation)


def test_embeddings_are_functions_of_their_texts(hold: Door) -> None:
    async def conversation(client: openai.AsyncOpenAI) -> None:
        made = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"])
        first, second, third = (each.embedding for each in made.data)
        assert first == third
        assert abs(sum(one * two for one, two in zip(first, second, strict=True))) < 0.2
        assert math.isclose(sum(one * one for one in first), 1.0, rel_tol=1e-5)
        assert len(first) == 1536
        floats = await client.embeddings.create(model="m", input="a", dimensions=8, encoding_format="float")
        assert len(floats.data[0].embedding) == 8
        large = await client.embeddings.create(model="text-embedding-3-large", input=[[1, 2, 3]])
        assert len(large.data[0].embedding) == 3072
        with pytest.raises(openai.BadRequestError, match="dimensions"):
            await client.embeddings.create(model="m", input="a", dimensions=0)

    hold(conversation)


def test_voice_by_script(hold: Door) -> None:
    def note() -> tuple[str, io.BytesIO]:
        return "note.ogg", io.BytesIO(b"OggS\r\n--not-a-boundary\r\n\x00\xff")

    async def conversation(client: openai.AsyncOpenAI) -> None:
        said = [
            (await client.audio.transcriptions.create(model="whisper-1", file=note())).text,
            await client.audio.transcriptions.create(model="whisper-1", file=note(), response_format="text"),
            (await client.audio.translations.create(model="whisper-1", file=note())).text,
        ]
        assert said == ["Where is my order?", "Thanks\n", "Where is my order?"]
        long = await client.audio.transcriptions.create(model="whisper-1", file=note(), response_format="verbose_json")
        assert long.segments is not None
        assert long.segments[0].text == "Thanks"
        begins = {"mp3": b"\xff\xf3", "opus": b"OggS", "wav": b"RIFF", "pcm": b"\0\0"}
        for kind, begin in begins.items():
            speech = await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi", response_format=kind)  # type: ignore[arg-type]
            assert speech.content.startswith(begin)
            assert speech.response.headers["content-type"].startswith("audio/")

    hold(conversation, other_endpoints={"transcriptions": ["Where is my order?", "Thanks"]})


def test_what_is_put_into_files_and_stores_comes_out(hold: Door) -> None:
    async def conversation(client: openai.AsyncOpenAI) -> None:
        file = await client.files.create(file=("menu.txt", b"soup\r\n"), purpose="assistants")
        assert (file.filename, file.bytes) == ("menu.txt", 6)
        assert (await client.files.content(file.id)).content == b"soup\r\n"
        assert [each.id async for each in client.files.list()] == [file.id]
        store = await client.vector_stores.create(name="menu", file_ids=[file.id])
        assert (store.status, store.file_counts.completed, store.usage_bytes) == ("completed", 1, 6)
        assert [each.id async for each in client.vector_stores.files.list(store.id)] == [file.id]
        assert (await client.vector_stores.delete(store.id)).deleted
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            await client.files.retrieve(file.id)
        assert "gpt-4o" in [each.id async for each in client.models.list()]
        assert (await client.models.retrieve("mine")).id == "mine"
        assert not (await client.moderations.create(input=["a", "b"])).results[1].flagged

    hold(conversation)


REFUSED: dict[str, Callable[[openai.AsyncOpenAI], Awaitable[Any]]] = {
    "POST /v1/images/generations": lambda client: client.images.generate(prompt="a cat"),
    "POST /v1/responses": lambda client: client.responses.create(model="m", input="Hi"),
    "POST /v1/conversations": lambda client: client.conversations.create(),
    "GET /v1/batches": lambda client: client.get("/batches", cast_to=object),
    "GET /v1/chat/completions": lambda client: client.get("/chat/completions", cast_to=object),
    "POST /v1/vector_stores/vs_1/search": lambda client: client.vector_stores.search("vs_1", query="soup").__anext__(),  # type: ignore[attr-defined]
    "POST /v1/audio/speech": lambda client: client.audio.speech.create(
        model="tts-1", voice="alloy", input="Hi", response_format="flac"
    ),
}


def test_what_is_not_simulated_says_so_and_is_asked_once(hold: Door) -> None:
    async def conversation(client: openai.AsyncOpenAI) -> None:
        for name, call in REFUSED.items():
            if name in ("GET /v1/chat/completions", "POST /v1/vector_stores/vs_1/search"):
                continue
            with pytest.raises(openai.BadRequestError) as refused:
                await call(client)
            assert refused.value.code == "not_simulated", name
            assert "relaysim does not simulate" in refused.value.message
            assert f"({name})" in refused.value.message
        with pytest.raises(openai.BadRequestError, match="relaysim does not simulate"):
            await client.post("/vector_stores/vs_1/search", body={"query": "x"}, cast_to=object)
        with pytest.raises(openai.NotFoundError, match=r"Invalid URL \(GET /v1/nothing\)"):
            await client.get("/nothing", cast_to=object)
        with pytest.raises(openai.APIStatusError, match="Only POST requests are accepted"):
            await client.get("/chat/completions", cast_to=object)

    hold(conversation)


@pytest.mark.parametrize(
    ("api", "path", "spoken", "other"),
    [
        ("responses", "/threads", "Responses API", "threads"),
        ("responses", "/assistants", "Responses API", "threads"),
        ("threads", "/responses", "Threads API", "responses"),
        ("threads", "/conversations", "Threads API", "responses"),
    ],
)
def test_an_endpoint_of_another_simulated_api_is_told_with_its_option(
    api: str, path: str, spoken: str, other: str
) -> None:
    with InProcessApi(ApiSettings(api=api)) as simulated:
        with pytest.raises(openai.BadRequestError) as refused:
            simulated.client.post(path, body={}, cast_to=object)
        assert refused.value.code == "not_simulated"
        assert refused.value.message.endswith(
            f"relaysim does not simulate this endpoint (POST /v1{path}) beside the {spoken}, which it speaks here: start it "
            f'with --api {other} instead (in a scenario: api = "{other}"); what happens here because of this answer says '
            "nothing about your code, and does not count."
        )


def test_each_path_of_a_simulated_api_is_said_to_be_its() -> None:
    families = {family: name for name in BACKENDS for family in Routes(backend_named(name).operations).families}
    assert families == SIMULATED_AS


@pytest.mark.parametrize("path", ["/agents", "/agents/agent_1/runs", "/webhook_endpoints", "/live/sessions", "/safety"])
def test_what_no_simulated_api_has_is_not_simulated(path: str) -> None:
    with InProcessApi(ApiSettings(api="responses")) as simulated:
        with pytest.raises(openai.BadRequestError) as refused:
            simulated.client.post(path, body={}, cast_to=object)
        assert refused.value.code == "not_simulated"
        assert (
            f"relaysim does not simulate this endpoint (POST /v1{path}). The real API has it;" in refused.value.message
        )


@pytest.mark.parametrize("api", ["threads", "responses"])
def test_a_socket_of_events_is_not_simulated(api: str) -> None:
    """`responses.connect()` begins as a request that asks for another protocol."""
    upgrade = {"upgrade": "websocket", "connection": "Upgrade", "authorization": "Bearer k"}
    for path in ("/v1/responses", "/v1/realtime?model=m"):
        status, _, body = SimulatedApi(ApiSettings(api=api), 0.0).handle("GET", path, upgrade, b"")
        said = json.loads(body)["error"]
        assert (status, said["code"]) == (400, "not_simulated")
        assert said["message"].startswith("relaysim does not simulate WebSockets (GET /v1/re")


@pytest.mark.parametrize("api", ["threads", "responses"])
def test_a_compaction_is_not_simulated_whichever_api_is(api: str) -> None:
    """Its path looks like that of a response, of which only another method is right."""
    with InProcessApi(ApiSettings(api=api)) as simulated:
        with pytest.raises(openai.BadRequestError) as refused:
            simulated.client.responses.compact(model="m", input="Hi")
        assert refused.value.code == "not_simulated"
        assert "(POST /v1/responses/compact)" in refused.value.message
        azure = openai.AzureOpenAI(
            azure_endpoint="https://shop.openai.azure.com",
            api_version="2025-03-01-preview",
            api_key="key",
            http_client=simulated.http_client(),
        )
        with pytest.raises(openai.BadRequestError, match="relaysim does not simulate"):
            azure.responses.compact(model="m", input="Hi")


def test_generating_takes_time_and_a_stream_begins_before_it_is_over() -> None:
    seconds = {"kind": "constant", "value": 10.0}
    settings = ApiSettings.model_validate(
        {
            "overrides": {"request_seconds": {"kind": "constant", "value": 0.5}, "slow_probability": 0.0},
            "other_endpoints": {"seconds": seconds},
        }
    )
    with InProcessApi(settings) as simulated:
        client = simulated.client
        client.chat.completions.create(model="m", messages=ASKED)
        assert simulated.now == pytest.approx(10.5, abs=1e-4)
        client.embeddings.create(model="m", input="a")
        assert simulated.now == pytest.approx(11.0, abs=1e-4)
        begun = simulated.now
        times = [simulated.now - begun for _ in client.chat.completions.create(model="m", messages=ASKED, stream=True)]
        assert times[0] == pytest.approx(1.5, abs=1e-4)
        assert times == sorted(times)
        assert 8.0 < times[-1] <= 10.5
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=3.0, max_retries=0).chat.completions.create(model="m", messages=ASKED)


def test_each_operation_is_found_by_its_own_path_alone() -> None:
    for operation in OTHER_OPERATIONS:
        found = find(operation.method, operation.path.replace("{", "").replace("}", ""))
        assert found is not None
        assert found[0] is operation
    assert find("GET", "/files/a/b") is None
