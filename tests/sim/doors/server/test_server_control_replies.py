"""The control API's replies: data may be set, code may not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from control_bench import Bench


def answered(bench: Bench, thread_id: str | None = None) -> str:
    """The newest message of a thread after one more run."""
    thread_id = bench.thread("How are you?") if thread_id is None else thread_id
    bench.started(thread_id)
    bench.advance(20)
    newest = bench.api("GET", f"/threads/{thread_id}/messages").json()["data"][0]
    return str(newest["content"][0]["text"]["value"])


def test_a_script_takes_the_place_of_the_echo_and_the_other_way_round() -> None:
    script = {"kind": "script", "replies": [{"text": "First: {input}"}, {"text": "Then."}], "then": "loop"}
    with Bench() as bench:
        assert bench.done("GET", "/replies") == {"kind": "echo"}
        assert bench.done("PUT", "/replies", script) == bench.done("GET", "/replies") == script
        thread_id = bench.thread("How are you?")
        assert [answered(bench, thread_id) for _ in range(3)] == [
            "First: How are you?",
            "Then.",
            "First: How are you?",
        ]
        bench.done("PUT", "/replies", {"kind": "echo"})
        assert answered(bench) == "Reply 1 to: How are you?"


def test_a_turn_whose_answer_is_under_way_keeps_it() -> None:
    with Bench() as bench:
        thread_id = bench.thread("Count")

        async def streamed_while_changed() -> str:
            from asyncio import create_task, sleep

            body = {"assistant_id": "asst_" + "a" * 24, "stream": True}
            headers = {"authorization": "Bearer sk-any", "openai-beta": "assistants=v2"}
            reading = create_task(bench.ask("POST", f"/v1/threads/{thread_id}/runs", headers=headers, json=body))
            while bench.server.api.requests < 2:
                assert not reading.done()
                await sleep(0)
            await bench.ask("POST", "/_relaysim/clock/advance", json={"seconds": 4})
            await bench.ask("PUT", "/_relaysim/replies", json={"kind": "script", "replies": [{"text": "New"}]})
            await bench.ask("POST", "/_relaysim/clock/advance", json={"seconds": 20})
            return (await reading).text

        stream = bench.run(streamed_while_changed())
        completed = stream.partition("event: thread.message.completed\ndata: ")[2].splitlines()[0]
        assert json.loads(completed)["content"][0]["text"]["value"] == "Reply 1 to: Count"
        assert answered(bench, thread_id) == "New"


MODULE = "replies_that_must_not_be_imported"


@pytest.mark.parametrize(
    ("method", "path", "wrapped"), [("PUT", "/replies", False), ("POST", "/reset", True)], ids=["put", "reset"]
)
def test_code_is_refused_without_a_look_at_it(
    method: str, path: str, wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{MODULE}.py").write_text("def make(turn):\n    return 'imported'\n")
    monkeypatch.syspath_prepend(tmp_path)
    replies = {"kind": "callable", "factory": f"{MODULE}:make"}
    with Bench() as bench:
        thread_id = bench.thread()
        status, code, message = bench.refused(method, path, {"replies": replies} if wrapped else replies)
        assert (status, code) == (403, "forbidden")
        assert message.startswith("replies of kind `callable` would import code into the server")
        assert MODULE not in sys.modules
        assert bench.done("GET", "/replies") == {"kind": "echo"}
        assert bench.api("GET", f"/threads/{thread_id}").status_code == 200


def test_code_that_is_in_force_is_no_new_code() -> None:
    code = {"kind": "callable", "factory": "relaysim.sim.backends.replies:echo_reply"}
    with Bench(replies=code) as bench:
        assert bench.done("GET", "/replies") == code
        assert bench.done("PUT", "/replies", code) == code
        bench.done("POST", "/reset", bench.done("GET", "/settings"))
        assert bench.done("GET", "/replies") == code
        other = {**code, "factory": "relaysim.sim.backends.replies:text_of"}
        assert bench.refused("POST", "/reset", {"replies": other})[:2] == (403, "forbidden")


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({}, "`kind` is missing; allowed: echo, script"),
        ({"kind": "scrip"}, 'unknown kind "scrip"; did you mean `script`?'),
        ({"kind": "script"}, "replies: is missing; it says: the turns of a thread, in order"),
        ({"kind": "script", "replies": []}, "replies: must have at least 1 entry"),
        ({"kind": "script", "replies": [{"txt": "x"}]}, "replies[0].txt: unknown field; did you mean `text`"),
        (
            {"kind": "script", "replies": [{"text": "x", "texts": ["y"]}]},
            "replies[0]: give only one of text, texts",
        ),
        ({"kind": "script", "replies": [{"tool_calls": [{}]}]}, "tool_calls[0]: a function needs its `name`"),
    ],
)
def test_bad_replies_are_explained(replies: dict[str, Any], said: str) -> None:
    with Bench() as bench:
        status, code, message = bench.refused("PUT", "/replies", replies)
        assert (status, code) == (422, "invalid")
        assert said in message
        assert bench.done("GET", "/replies") == {"kind": "echo"}
