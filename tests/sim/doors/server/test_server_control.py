"""The control API: the world as a whole, the clock, resets, and how requests are refused."""

from __future__ import annotations

from typing import Any

import pytest
from control_bench import ASSISTANT, FLAT, Bench, constant

from relaysim.sim.backends.profile import PROFILE_FOLDER
from relaysim.sim.doors.server.control_errors import ErrorAnswer
from relaysim.sim.doors.server.control_models import ADVANCE_SECONDS_MAX, SPEED_MAX
from relaysim.sim.doors.server.control_requests import BODY_BYTES_MAX
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.kernel import EPOCH_SECONDS


def test_the_overview_counts_what_there_is() -> None:
    with Bench(seed=3) as bench:
        first, second = bench.thread(), bench.thread()
        bench.started(first)
        bench.started(second)
        bench.advance(5)
        bench.started(bench.thread())
        seen = bench.done("GET", "/")
    assert (seen["name"], seen["profile"]["name"], seen["seed"], seen["speed"]) == ("relaysim", "typical", 3, 0.0)
    assert (seen["virtual_seconds"], seen["unix_seconds"]) == (5.0, EPOCH_SECONDS + 5.0)
    counts = seen["counts"]
    assert {name: count for name, count in counts["runs"].items() if count} == {"queued": 1, "in_progress": 2}
    assert (counts["threads"], counts["requests"], counts["errors"]) == (3, 6, 0)


def test_its_links_lead_somewhere() -> None:
    with Bench() as bench:
        for link in bench.done("GET", "/")["links"].values():
            assert bench.run(bench.ask("GET", link)).status_code == 200, link


@pytest.mark.parametrize("path", ["", "/"])
def test_a_last_slash_makes_no_difference(path: str) -> None:
    with Bench() as bench:
        assert bench.done("GET", path)["name"] == "relaysim"
        assert bench.done("GET", f"/clock{path}")["speed"] == 0.0


def test_it_needs_no_key() -> None:
    with Bench(keys=("sk-only",)) as bench:
        assert bench.api("POST", "/threads", {}).status_code == 401
        assert bench.done("GET", "/")["counts"]["requests"] == 1


def test_a_web_page_of_another_origin_is_refused_and_its_own_page_is_not() -> None:
    with Bench() as bench:
        for origin in ("http://elsewhere.example", "null", "http://simulated:1", "https://simulated.example"):
            answer = bench.run(bench.ask("POST", "/_relaysim/reset", headers={"origin": origin}))
            assert answer.status_code == 403, origin
            assert answer.json()["error"]["code"] == "forbidden"
        own = bench.run(bench.ask("POST", "/_relaysim/reset", headers={"origin": "http://simulated"}))
        assert own.status_code == 200


def test_looking_changes_nothing_that_the_api_answers() -> None:
    looks = ["/", "/clock", "/faults", "/trace?limit=5", "/runs", "/settings", "/replies", "/states", "/nowhere"]

    def answers(*, looking: bool) -> list[tuple[bytes, str]]:
        seen = []
        fault = {"kind": "status", "status": 500, "probability": 0.5}
        with Bench(faults=[fault], overrides={**FLAT, "stuck_probability": 0.5}) as bench:
            for number in range(8):
                for method, path in (("POST", "/threads"), ("GET", "/assistants")):
                    answer = bench.api(method, path, {} if method == "POST" else None)
                    seen.append((answer.content, answer.headers["x-request-id"]))
                    if looking:
                        bench.control("GET", looks[number])
                        bench.refused("POST", "/faults", {"kind": "nonsense"})
                bench.server.advance(1)
            seen.append((repr(bench.server.api.trace.records).encode(), ""))
        return seen

    assert answers(looking=True) == answers(looking=False)


# The clock


def test_time_passes_at_once_and_all_that_is_due_happens_in_order() -> None:
    with Bench() as bench:
        run_id = bench.started()
        assert bench.advance(0.5) == 0.5
        assert bench.state(run_id) == "queued"
        clock = bench.done("POST", "/clock/advance", {"seconds": 30})
        assert clock == {"virtual_seconds": 30.5, "unix_seconds": EPOCH_SECONDS + 30.5, "speed": 0.0}
        moves = bench.done("GET", "/trace", params={"kind": "run.state"})["events"]
        assert [(event["time"], event["state"]) for event in moves] == [
            (0.0, "queued"),
            (1.0, "in_progress"),
            (11.0, "completed"),
        ]


def test_time_can_be_moved_while_it_moves_by_itself() -> None:
    with Bench(speed=1.0) as bench:
        before = bench.done("GET", "/clock")["virtual_seconds"]
        after = bench.advance(1000)
        assert before + 1000 <= after < before + 1060


def test_the_speed_can_be_changed_and_kept() -> None:
    with Bench() as bench:
        assert bench.done("POST", "/clock", {"speed": 2.5})["speed"] == 2.5
        assert bench.done("POST", "/clock", {})["speed"] == 2.5
        stopped = bench.done("POST", "/clock", {"speed": 0})
        assert bench.done("GET", "/clock") == stopped


# Resets


def history(bench: Bench) -> list[bytes]:
    """The answers to some requests, ids and times included."""
    answers = [bench.api("POST", "/threads", {"messages": [{"role": "user", "content": "Hi"}]})]
    thread_id = answers[0].json()["id"]
    answers.append(bench.api("POST", f"/threads/{thread_id}/runs", {"assistant_id": ASSISTANT}))
    bench.advance(20)
    answers.append(bench.api("GET", f"/threads/{thread_id}/messages"))
    return [answer.content for answer in answers]


def test_a_reset_begins_the_same_world_again() -> None:
    with Bench(seed=4) as bench:
        first = history(bench)
        seen = bench.done("POST", "/reset")
        assert (seen["virtual_seconds"], seen["counts"]["threads"], seen["counts"]["requests"]) == (0.0, 0, 0)
        assert bench.done("GET", "/trace")["events"] == []
        assert history(bench) == first


def test_a_reset_changes_what_it_is_given_and_no_other_setting() -> None:
    with Bench(seed=4, pretty=True) as bench:
        before = bench.done("GET", "/settings")
        assert bench.done("POST", "/reset", {"seed": 5, "keys": ["sk-1"]})["seed"] == 5
        assert bench.done("GET", "/settings") == {**before, "seed": 5, "keys": ["sk-1"]}
        bench.done("POST", "/reset", {"keys": None})
        assert bench.done("GET", "/settings") == {**before, "seed": 5}


def test_what_was_changed_since_a_world_began_ends_with_it() -> None:
    begun_with = {"kind": "status", "status": 500, "nth": [9]}
    with Bench(faults=[begun_with], replies={"kind": "script", "replies": [{"text": "from the beginning"}]}) as bench:
        bench.done("POST", "/faults", {"kind": "status", "status": 503})
        bench.done("PUT", "/replies", {"kind": "echo"})
        bench.done("POST", "/clock", {"speed": 0.25})
        assert bench.done("POST", "/reset", {})["speed"] == 0.25
        assert [entry["fault"] for entry in bench.done("GET", "/faults")["faults"]] == [begun_with]
        assert bench.done("GET", "/replies")["replies"] == [{"text": "from the beginning"}]


def test_a_server_goes_on_simulating_the_api_that_it_began_with() -> None:
    with Bench() as bench:
        shown = bench.done("GET", "/settings")
        status, code, message = bench.refused("POST", "/reset", {**shown, "api": "nothing"})
        assert (status, code) == (422, "invalid")
        assert "there is no simulated API 'nothing'; there are: threads" in message
        assert bench.done("POST", "/reset", shown)["profile"]["name"] == shown["profile"]


def test_settings_can_be_given_to_a_reset_as_they_are_shown() -> None:
    unlike_defaults: dict[str, Any] = {
        "profile": "bad_day",
        "overrides": {"run_seconds": constant(3), "gets_per_minute": 5},
        "faults": [
            {"kind": "connect_error", "window_seconds": [5, 6]},
            {"kind": "status", "status": 502, "html": True, "nth": [1]},
            {"kind": "slow_body", "seconds": 2.5, "probability": 0.5},
        ],
        "replies": {"kind": "script", "replies": [{"fail": {}}, {"incomplete": "Well"}], "then": "loop"},
        "other_endpoints": {"chat": {"kind": "script", "replies": [{"text": "Hi"}]}, "transcriptions": ["Hello"]},
        "seed": 8,
        "assistants": ["asst_one"],
        "keys": ["sk-one"],
        "poll_after_ms": 10,
        "latency": False,
        "threads_max": 9,
        "trace_records_max": 90,
        "body_bytes_max": 900,
        "pretty": True,
    }
    # Another API is another server's, and this one has no events.
    assert {*unlike_defaults, "api", "events"} == set(ApiSettings.model_fields)
    with Bench() as bench:
        bench.done("POST", "/reset", unlike_defaults)
        settings = bench.server.api.settings
        assert all(getattr(settings, name) != getattr(ApiSettings(), name) for name in unlike_defaults)
        shown = bench.done("GET", "/settings")
        bench.done("POST", "/reset", shown)
        assert bench.server.api.settings == settings
        assert bench.done("GET", "/settings") == shown


def test_a_plain_number_stands_for_a_constant_duration() -> None:
    with Bench() as bench:
        bench.done("POST", "/reset", {"overrides": {**FLAT, "run_seconds": 2, "stuck_probability": 0}})
        run_id = bench.started()
        bench.advance(3)
        assert bench.state(run_id) == "completed"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": "nope"}, "profile: no profile named 'nope'; shipped are bad_day, claimed, outage, typical"),
        ({"profile": "/nowhere/mine.toml"}, "profile: /nowhere/mine.toml cannot be read: no such file"),
        ({"profile": "{tmp}/folder.toml"}, "profile: {tmp}/folder.toml cannot be read: is a directory"),
        ({"profile": "{tmp}/bad.toml"}, "profile: {tmp}/bad.toml is no TOML: "),
        ({"profile": "{tmp}/untitled.toml"}, "profile.title: is missing; it says: one line for people"),
        (
            {"overrides": {"run_seconds": "long"}},
            "overrides.run_seconds: must be a number of seconds or an object such as ",
        ),
        ({"overrides": {"run_second": 1}}, "overrides.run_second: unknown field; did you mean `run_seconds` or"),
        (
            {"overrides": {"stuck_probability": 2}},
            "overrides.stuck_probability: must be at most 1, not 2",
        ),
        ({"overrides": {"run_seconds": {"kind": "often"}}}, 'overrides.run_seconds: unknown kind "often"; allowed: '),
        ({"sed": 1}, "sed: unknown field; did you mean `seed`?"),
        ({"faults": [{"kind": "reset"}, {"kind": "reset", "nth": [0]}]}, "faults[1].nth: nth counts from 1"),
    ],
)
def test_bad_settings_are_explained_and_change_nothing(given: dict[str, Any], said: str, tmp_path: Any) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bad.toml").write_text("name =")
    untitled = (PROFILE_FOLDER / "claimed.toml").read_text(encoding="utf-8").replace("title = ", "# ", 1)
    (tmp_path / "untitled.toml").write_text(untitled, encoding="utf-8")
    if "profile" in given:
        given = {"profile": given["profile"].format(tmp=tmp_path)}
    with Bench() as bench:
        thread_id = bench.thread()
        before = bench.done("GET", "/settings")
        status, code, message = bench.refused("POST", "/reset", given)
        assert (status, code) == (422, "invalid")
        assert said.format(tmp=tmp_path) in message
        assert " problems: " not in message
        assert bench.done("GET", "/settings") == before
        assert bench.api("GET", f"/threads/{thread_id}").status_code == 200


# Refusals


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "said"),
    [
        ("GET", "/nowhere", {}, 404, "there is nothing at /_relaysim/nowhere: GET /_relaysim/ says what there is"),
        ("GET", "/reset", {}, 405, "/_relaysim/reset knows no GET: use POST"),
        ("POST", "/clock", {}, 422, "the request has no body; send a JSON object"),
        ("POST", "/clock", {"content": b"speed=1"}, 422, "the body's content type is not said"),
        ("POST", "/clock", {"data": {"speed": "1"}}, 422, "is application/x-www-form-urlencoded, not application/json"),
        ("POST", "/clock", {"body": b"{"}, 400, "the body is no JSON: Expecting property name"),
        ("POST", "/clock", {"body": b"[]"}, 400, "the body must be a JSON object"),
        ("POST", "/clock", {"body": b'{"speed": NaN}'}, 400, "no NaN, no Infinity"),
        ("POST", "/clock", {"body": b'{"speed": 1e999}'}, 400, "numbers that a double can hold"),
        ("POST", "/clock", {"body": b'{"speed": "\xff"}'}, 400, "the body is no JSON: "),
        ("POST", "/clock", {"body": b'{"speed": ' + b"[" * 100_000}, 400, "the body is no JSON: "),
        ("POST", "/clock", {"body": b"{" + b" " * BODY_BYTES_MAX + b"}"}, 413, "the body is larger than 4194304 bytes"),
        ("POST", "/clock", {"json": {"speed": -1}}, 422, "speed: must be 0 or more, not -1"),
        ("POST", "/clock", {"json": {"speed": "1"}}, 422, 'speed: must be a number, not "1"'),
        ("POST", "/clock", {"json": {"speed": SPEED_MAX * 2}}, 422, "speed: must be at most 1000000"),
        ("POST", "/clock", {"json": {"sped": 1}}, 422, "sped: unknown field; did you mean `speed`?"),
        ("POST", "/clock/advance", {"json": {}}, 422, "seconds: is missing; it says: how many virtual seconds pass"),
        ("POST", "/clock/advance", {"json": {"seconds": -1}}, 422, "seconds: must be 0 or more"),
        ("POST", "/clock/advance", {"json": {"seconds": ADVANCE_SECONDS_MAX + 1}}, 422, "seconds: must be at most "),
        ("GET", "/clock?speed=1&x=1", {}, 200, ""),
        ("GET", "/runs?stat=queued", {}, 422, "stat: unknown field; did you mean `state`?"),
        ("GET", "/runs?state=gone", {}, 422, "state[0]: must be queued or in_progress"),
        ("GET", "/trace?after=x", {}, 422, 'after: must be a whole number, not "x"'),
        ("DELETE", "/faults/first", {}, 422, 'index: must be a whole number, not "first"'),
    ],
)
def test_a_refusal_says_what_is_wrong_in_one_shape(
    method: str, path: str, options: dict[str, Any], status: int, said: str
) -> None:
    if "body" in options:
        options = {"content": options["body"], "headers": {"content-type": "application/json"}}
    with Bench() as bench:
        answer = bench.control(method, path, **options)
    assert answer.status_code == status, answer.text
    if status != 200:
        error = ErrorAnswer.model_validate(answer.json()).error
        assert said in error.message


def test_what_would_have_been_possible_is_said() -> None:
    with Bench() as bench:
        answer = bench.control("PATCH", "/faults")
        assert answer.headers["allow"] == "GET, POST, PUT, DELETE"
        assert answer.json()["error"]["possible"] == ["GET", "POST", "PUT", "DELETE"]


def test_all_mistakes_are_told_at_once() -> None:
    with Bench() as bench:
        error = bench.control("POST", "/faults", {"kind": "reset", "nht": [1], "probability": 2}).json()["error"]
    assert error["message"].startswith("2 problems: ")
    assert [problem["where"] for problem in error["problems"]] == ["probability", "nht"]


def test_a_failure_of_its_own_has_the_shape_too_and_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bench() as bench:
        bench.done("GET", "/")
        monkeypatch.setattr(bench.server, "set_speed", lambda speed: 1 / 0)
        status, code, message = bench.refused("POST", "/clock", {"speed": 1})
        assert (status, code) == (500, "simulator_error")
        assert message.startswith("the simulator itself failed: ZeroDivisionError")
        assert bench.done("GET", "/")["counts"]["errors"] == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_answers_are_for_reading() -> None:
    with Bench() as bench:
        text = bench.control("GET", "/clock").text
    assert text == '{\n  "virtual_seconds": 0.0,\n  "unix_seconds": 1762257600.0,\n  "speed": 0.0\n}\n'


def test_the_states_are_the_table() -> None:
    from relaysim.sim.backends.threads.states import RULES, STATES, TRANSITIONS, mermaid

    with Bench() as bench:
        table = bench.done("GET", "/states")
    assert [row["name"] for row in table["states"]] == [state.name for state in STATES]
    assert [(row["source"], row["target"]) for row in table["moves"]] == [(m.source, m.target) for m in TRANSITIONS]
    assert [(row["request"], row["answer"]) for row in table["rules"]] == [
        (rule.request, rule.answer) for rule in RULES
    ]
    assert {row["evidence"] for row in table["rules"]} <= set(table["evidence"])
    assert table["mermaid"] == mermaid()
