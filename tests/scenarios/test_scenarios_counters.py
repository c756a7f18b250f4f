"""Goal: a counter counts what its definition says, in all and per message, and no claim about it holds that nobody can know.

Method: traces written by hand, the example of the documents as it stands there, a bot that logs, and definitions that are
wrong.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.reports import figures
from relaysim.reports.claims import CounterBound, UnknownEventError, happened
from relaysim.scenarios import runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.counter_tallies import UNASSIGNED
from relaysim.scenarios.explore.hunting import breaches_in
from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.scenarios.testing.judging import Judging
from relaysim.scenarios.verdicts import verify_scenario
from relaysim.sim.trace.schema import HandlingStart, LogLine, MessageSent, RedisCommand, RequestSent, RequestServed
from relaysim.sim.world import run_world
from relaysim.sim.world.counters import Counter, add_counters, count_events

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})


# What is counted


def trace(*events: Any) -> list[tuple[float, str, str, Any]]:
    return [(float(at), "w1", "", event) for at, event in enumerate(events)]


HANDLED = (
    MessageSent("c1.m1", "c1", "hello", None),
    MessageSent("c1.m2", "c1", "again", None),
    MessageSent("c2.m1", "c2", "never handled", None),
    HandlingStart("c1.m1#1", "c1.m1", 1),
    HandlingStart("c1.m2#1", "c1.m2", 1),
    HandlingStart("c1.m2#2", "c1.m2", 2),
)


def counted(counter: Counter, *events: Any) -> tuple[list[int], int]:
    found = count_events(trace(*HANDLED, *events), [counter])[counter.name]
    return found["per_message"], found["outside"]


def test_log_lines_are_searched_and_belong_to_the_message_in_whose_handlings_they_are() -> None:
    lines = [
        LogLine("c1.m1#1", "INFO", "cache miss: 7"),
        LogLine("c1.m2#1", "WARNING", "a cache miss"),
        LogLine("c1.m2#2", "INFO", "cache miss"),
        LogLine("c1.m2#2", "INFO", "cache hit"),
        LogLine("", "INFO", "cache miss"),
    ]
    assert counted(Counter(name="misses", log=r"cache miss(:|$)"), *lines) == ([1, 2, 0], 1)


def test_requests_are_counted_by_operation_and_by_what_came_of_them() -> None:
    requests = [
        RequestSent("r1", "c1.m1#1", "messages.create", "t1", None),
        RequestServed("r1", 400, "active run", None),
        RequestSent("r2", "c1.m1#1", "messages.create", "t1", None),
        RequestServed("r2", 200, None, "msg_1"),
        RequestSent("r3", "c1.m2#2", "runs.create", "t1", None),
        RequestServed("r3", 429, "slow down", None),
        RequestSent("r4", "", "runs.retrieve", "t1", "run_1"),
        RequestServed("r4", 200, None, "completed"),
    ]
    assert counted(Counter(name="a", request="messages.create"), *requests) == ([2, 0, 0], 0)
    assert counted(Counter(name="a", request="*.create"), *requests) == ([2, 1, 0], 0)
    assert counted(Counter(name="a", request="*"), *requests) == ([2, 1, 0], 1)
    assert counted(Counter(name="a", request="*", status=400), *requests) == ([1, 0, 0], 0)
    assert counted(Counter(name="a", request="*.create", status=(400, 429)), *requests) == ([1, 1, 0], 0)


def test_redis_commands_are_counted_by_name_and_key() -> None:
    commands = [
        RedisCommand("c1.m1#1", "SET", "lock:c1", "OK"),
        RedisCommand("c1.m2#1", "SET", "cache:c1", "OK"),
        RedisCommand("c1.m2#1", "GET", "lock:c1", 1),
        RedisCommand("", "SET", "lock:c9", "OK"),
    ]
    assert counted(Counter(name="a", redis="set"), *commands) == ([1, 1, 0], 1)
    assert counted(Counter(name="a", redis="SET", key="lock:*"), *commands) == ([1, 0, 0], 1)
    assert counted(Counter(name="a", redis="*", key="lock:c1"), *commands) == ([1, 1, 0], 0)


def test_scripts_are_counted_by_their_own_names_and_as_what_runs_them() -> None:
    commands = [
        RedisCommand("c1.m1#1", "release", "lock:c1", 1),
        RedisCommand("c1.m2#1", "get", "lock:c1", 1),  # a script that is named like a command
        RedisCommand("c1.m2#1", "EVALSHA", "lock:c1", 1),  # one whose first line names nothing
        RedisCommand("", "GET", "lock:c1", 1),
    ]
    assert counted(Counter(name="a", script="release"), *commands) == ([1, 0, 0], 0)
    assert counted(Counter(name="a", script="RELEASE"), *commands) == ([0, 0, 0], 0)
    assert counted(Counter(name="a", script="*", key="lock:*"), *commands) == ([1, 1, 0], 0)
    assert counted(Counter(name="a", redis="get"), *commands) == ([0, 0, 0], 1)
    assert counted(Counter(name="a", redis="EVALSHA"), *commands) == ([1, 2, 0], 0)
    assert counted(Counter(name="a", redis="EVAL*"), *commands) == ([1, 2, 0], 0)


def test_the_messages_with_the_most_are_its_examples() -> None:
    lines = [LogLine(delivery, "INFO", "miss") for delivery in ("c1.m1#1", "c1.m2#1", "c1.m2#2")]
    observation: dict[str, Any] = {"counts": {"messages": 3}, "details": {}}
    add_counters(observation, trace(*HANDLED, *lines), [Counter(name="misses", log="miss")])
    assert observation["counts"]["misses"] == 3
    assert observation["counters"] == {"misses": {"per_message": [1, 2, 0], "outside": 0}}
    assert observation["details"]["misses"][0] == {
        "text": "c1.m2: 2 times misses in its handling",
        "message": "c1.m2",
        "conversation": "c1",
    }
    assert happened(observation, "misses > 1") == 1
    assert happened(observation, "misses <= 1") == 2
    with pytest.raises(ValueError, match="'messages' is counted in every world"):
        add_counters(observation, trace(*HANDLED), [Counter(name="messages", log="miss")])


# In scenarios


def example() -> str:
    text = (ROOT / "docs/scenarios.md").read_text("utf-8")
    (found,) = re.findall(r"```toml\n(# counted\.toml\n.*?)```", text, re.DOTALL)
    return str(found)


def test_the_example_of_the_documents_counts_and_is_verified(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, example(), "counted.toml"), ["check_lanes=3"])
    entry, _ = verify_scenario(scenario, replications=10, lane="direct")
    assert entry["lane_check"]["equal"]
    assert set(entry["counters"]) == {"conflicts_logged", "appends", "refused", "locks"}
    # Of the two messages the second one meets the first one's run, once.
    assert entry["counters"]["refused"] | {"p90": 1} == {
        "total": 10, "outside": 0, "messages": 20, "with_any": 10, "mean": 0.5, "p50": 0, "p90": 1, "p99": 1, "max": 1,
    }  # fmt: skip
    assert entry["counters"]["conflicts_logged"] == entry["counters"]["refused"]
    assert entry["counters"]["appends"]["total"] == entry["counts"]["appends"] == 30
    verdicts = {claim["id"]: (claim["verdict"], claim["count"], claim["n"]) for claim in entry["claims"]}
    assert verdicts["few-appends"] == ("verified", 0, 20)
    assert verdicts["few-conflicts"][1:] == (10, 20)


def test_counters_change_no_world_and_count_the_same_in_both_lanes(tmp_path: Path) -> None:
    plain = load("race")
    scenario = load(write(tmp_path, example(), "counted.toml"))
    assert plain.worlds_hash == scenario.worlds_hash
    assert plain.hash != scenario.hash
    for seed in range(2):
        without = run_world(plain.world_settings(), root_seed=plain.root_seed, seed=seed, lane="direct")
        direct, sdk = (
            run_world(scenario.world_settings(), root_seed=scenario.root_seed, seed=seed, lane=lane)
            for lane in ("direct", "sdk")
        )
        assert without.fingerprint == direct.fingerprint == sdk.fingerprint
        assert direct.observation["counters"] == sdk.observation["counters"]
        assert "counters" not in without.observation
        assert len(direct.observation["counters"]["appends"]["per_message"]) == direct.observation["counts"]["messages"]


BOT = """
import logging
class Bot:
    def __init__(self, client, redis, send):
        self.client, self.redis, self.send = client, redis, send
    async def handle(self, message):
        if not await self.redis.set(f"cache:{message.conversation}", "1", nx=True):
            return "answered"
        logging.getLogger("bot").info("cache miss: %s", message.conversation)
        return "answered"
"""


def test_a_bot_of_ones_own_logs_and_needs_nothing_of_the_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, BOT, "bot_that_logs.py")
    text = """
extends = "race"
name = "logged"
counters = [{ name = "cache_miss", log = "cache miss" }, { name = "sets", redis = "SET", key = "cache:*" }]
"""
    scenario = load(write(tmp_path, text, "logged.toml"), factory="bot_that_logs:Bot")
    entry, _ = verify_scenario(scenario, replications=3)
    assert entry["counters"]["cache_miss"]["total"] == 3
    assert entry["counters"]["sets"]["total"] == entry["outcomes"]["messages"]


# Claims, summaries and results, of stand-ins

COUNTED = (
    SMALL
    + """
[[counters]]
name = "calls"
log = "call"

[[claims]]
id = "few"
title = "at most 3 calls a message"
kind = "never"
event = "calls > 3"
among = "messages"
reason = "."

[[claims]]
id = "rare"
title = "a call in less than half of the messages"
kind = "below"
event = "calls > 0"
among = "messages"
limit = 0.5
reason = "."

[[claims]]
id = "mostly"
title = "95 % of messages need no more than 2"
kind = "above"
event = "calls <= 2"
among = "messages"
limit = 0.7
reason = "."
"""
)


def with_calls(*per_message: int, outside: int = 0) -> Any:
    """Worlds in which two messages made so many calls."""

    def observed(settings: Any, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
        observation = observe(settings, root_seed, seed, lane)
        observation["counters"] = {"calls": {"per_message": list(per_message), "outside": outside}}
        observation["counts"]["calls"] = sum(per_message) + outside
        observation["details"]["calls"] = [{"text": f"c1.m1: {per_message[0]} times calls", "message": "c1.m1"}]
        return observation

    return observed


def judged(tmp_path: Path, observe_world: Any) -> dict[str, Any]:
    scenario = load(write(tmp_path, COUNTED), check_relay=False)
    return verify_scenario(scenario, observe=observe_world, replications=400)[0]


def test_claims_limit_what_messages_had(tmp_path: Path) -> None:
    claims = {claim["id"]: claim for claim in judged(tmp_path, with_calls(1, 0))["claims"]}
    assert claims["few"]["verdict"] == "verified"
    assert (claims["rare"]["verdict"], claims["rare"]["observed"]) == ("inconclusive", 0.5)
    assert claims["mostly"]["verdict"] == "verified"
    claims = {claim["id"]: claim for claim in judged(tmp_path, with_calls(5, 1))["claims"]}
    assert claims["few"]["verdict"] == "refuted"
    assert claims["few"]["examples"][0]["detail"]["text"] == "c1.m1: 5 times calls"
    assert claims["rare"]["verdict"] == "refuted"
    assert claims["mostly"]["verdict"] == "refuted"


def test_nothing_is_verified_of_messages_while_some_of_it_belongs_to_none(tmp_path: Path) -> None:
    entry = judged(tmp_path, with_calls(1, 0, outside=2))
    claims = {claim["id"]: claim for claim in entry["claims"]}
    for name in ("few", "mostly"):
        assert (claims[name]["verdict"], claims[name]["reason"]) == ("inconclusive", UNASSIGNED)
    assert "calls was counted 800 times outside of any message's handling" in claims["few"]["why"]
    assert entry["counters"]["calls"]["outside"] == 800
    refuted = {claim["id"]: claim["verdict"] for claim in judged(tmp_path, with_calls(5, 0, outside=2))["claims"]}
    assert refuted["few"] == "refuted"


MAP = """
[map]
claims = ["few"]
replications = 50
x = { path = "workload.messages[0].at_seconds", values = [0.0, 1.0], name = "x" }
y = { path = "limit_seconds", values = [7000.0, 7100.0], name = "y" }
"""


@pytest.mark.parametrize(("outside", "verdict"), [(0, "verified"), (1, "inconclusive")])
def test_neither_is_it_in_a_map(outside: int, verdict: str, tmp_path: Path) -> None:
    scenario = load(write(tmp_path, COUNTED.replace("[relay]", f"{MAP}\n[relay]")), check_relay=False)
    entry, _ = verify_scenario(scenario, observe=with_calls(1, 0, outside=outside), replications=50)
    cells = [cell["verdicts"]["few"] for row in entry["map"]["cells"] for cell in row]
    assert cells == [verdict] * 4


def test_a_counter_that_no_world_counts_is_no_zero(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="calls > 3") as caught:
        judged(tmp_path, observe)
    assert isinstance(caught.value.__cause__, UnknownEventError)


def test_a_hunt_stops_at_a_claim_about_a_counter() -> None:
    observation = with_calls(5, 1)(None, 1, 1, "direct")
    (breach,) = breaches_in(observation, ["calls > 3", "calls > 5"])
    assert (breach.event, breach.subject) == ("calls > 3", "c1.m1")


NOTHING = 'nothing matched `log = "call"` in 400 worlds: is the pattern right?'


def test_what_rests_on_a_counter_that_matched_nothing_says_so_and_keeps_its_verdict(tmp_path: Path) -> None:
    entry = judged(tmp_path, with_calls(0, 0))
    claims = {claim["id"]: claim for claim in entry["claims"]}
    for name in ("few", "rare", "mostly"):
        assert claims[name]["verdict"] == "verified"
        assert claims[name]["nothing_matched"] == 'log = "call"'
        assert claims[name]["why"].endswith(f"; {NOTHING}")
    assert "nothing_matched" not in claims["first-retry"]
    assert entry["counters"]["calls"]["nothing_matched"] == 'log = "call"'
    # One match anywhere shows that it can match; then what never happens is shown like everything else.
    for observed in (with_calls(1, 0), with_calls(0, 0, outside=1)):
        entry = judged(tmp_path, observed)
        assert not any("nothing_matched" in claim for claim in entry["claims"])
        assert "nothing_matched" not in entry["counters"]["calls"]


ALONE = COUNTED.replace(SMALL[SMALL.index("[[claims]]") :], "")


@pytest.mark.parametrize("per_message", [(0, 0), (1, 0)])
def test_the_first_screen_the_page_the_junit_and_the_json_say_that_nothing_matched(
    per_message: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", with_calls(*per_message))
    file = write(tmp_path, ALONE.replace('kind = "below"', 'kind = "below"\nexpect = "verified"'))
    options = ["--replications", "400", "--jobs", "1", "--quiet", "--out", "out", "--recheck", "0", "--junit", "j.xml"]
    main(["verify", file, *options])
    screen = " ".join(capsys.readouterr().out.split())
    page = " ".join(html.unescape(re.sub(r"<[^>]*>", "", Path("out/index.html").read_text("utf-8"))).split())
    results = json.loads(Path("out/results.json").read_text("utf-8"))
    junit = html.unescape(Path("j.xml").read_text("utf-8"))
    found = " ".join(results["answer"]["found"])
    is_empty = not any(per_message)
    for shown in (screen, page, found, junit):
        assert (NOTHING in shown) == is_empty
    for shown in (screen, page):
        assert ("3 rest on a counter that matched nothing" in shown) == is_empty
        assert ("0 of 800, nothing matched" in shown) == is_empty


@pytest.mark.parametrize("command", ["compare", "sweep"])
def test_so_do_the_other_commands_that_show_counters(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", with_calls(0, 0))
    file = write(tmp_path, COUNTED)
    more = {"compare": [], "sweep": ["--grid", "workload.messages[0].at_seconds=0,1"]}
    main([command, file, "--replications", "10", "--jobs", "1", "--quiet", "--out", "out", "--full", *more[command]])
    page = " ".join(html.unescape(re.sub(r"<[^>]*>", "", Path("out/index.html").read_text("utf-8"))).split())
    screen = " ".join(capsys.readouterr().out.split())
    for shown in (page, screen):
        assert 'nothing matched `log = "call"`: is the pattern right?' in shown
    if command == "sweep":
        assert "“at most 3 calls a message”, at 2 of 2 points: nothing matched" in screen


def test_a_test_that_passes_on_a_counter_that_matched_nothing_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, BOT, "bot_that_logs.py")
    claim = (
        '[[claims]]\nid = "{0}"\ntitle = "{0}"\nkind = "never"\nevent = "{0} > 9"\namong = "messages"\nreason = "."\n'
    )
    text = f"""
extends = "race"
name = "logged"
counters = [{{ name = "misses", log = "cache miss" }}, {{ name = "typos", log = "cash miss" }}]
[relay]
factory = "bot_that_logs:Bot"
{claim.format("misses")}
{claim.format("typos")}
"""
    judging = Judging(load(write(tmp_path, text, "logged.toml")), claim="typos", test=None)
    with pytest.warns(UserWarning, match='“typos” is verified, and nothing matched `log = "cash miss"` in 7 seeds'):
        judging.judge(judging.run(range(7)), tuple(range(7)), 7)
    judging = Judging(load(write(tmp_path, text, "logged.toml")), claim="misses", test=None)
    with warnings.catch_warnings(action="error"):
        judging.judge(judging.run(range(7)), tuple(range(7)), 7)


def test_a_summary_with_counters_is_the_same_however_it_was_cut(tmp_path: Path) -> None:
    text = load(write(tmp_path, COUNTED), check_relay=False).to_json()
    whole, cut = (
        run_batches([Batch("main", text, 50, "direct")], observe=with_calls(2, 0, outside=1), chunk_size=size)[0][
            "main"
        ]
        for size in (50, 7)
    )
    assert cut == whole
    read = Summary.from_plain(json.loads(json.dumps(whole.to_plain())))
    assert (read.counters, read.to_plain()) == (whole.counters, whole.to_plain())
    assert whole.counters["calls"].to_dict() == {
        "total": 150, "outside": 50, "messages": 100, "with_any": 50, "mean": 1.0, "p50": 0, "p90": 2, "p99": 2, "max": 2,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["verify", "compare", "sweep"])
def test_counters_are_in_the_results_and_on_the_page(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", with_calls(3, 1, outside=1))
    file = write(tmp_path, COUNTED)
    more = {"verify": ["--recheck", "0"], "compare": [], "sweep": ["--grid", "workload.messages[0].at_seconds=0,1"]}
    main([command, file, "--replications", "10", "--jobs", "1", "--quiet", "--out", "out", "--full", *more[command]])
    results = json.loads(Path("out/results.json").read_text("utf-8"))
    entries = results[{"verify": "scenarios", "compare": "policies", "sweep": "points"}[command]]
    assert [each["counters"]["calls"]["total"] for each in entries] == [50] * len(entries)
    words = "50 times in 20 messages: 2 a message (50 % at most 1, 99 % at most 3, the most 3); 20 messages had any"
    page = " ".join(html.unescape(re.sub(r"<[^>]*>", "", Path("out/index.html").read_text("utf-8"))).split())
    assert f"calls: {words}; 10 times outside of any message's handling" in page
    if command == "sweep":
        table = list(csv.DictReader(io.StringIO(Path("out/results.csv").read_text("utf-8"))))
        assert [row["calls"] for row in table] == ["50", "50"]
    else:
        assert "calls: 50 times in 20 messages" in " ".join(capsys.readouterr().out.split())


# Definitions that are wrong

MINIMAL = """
extends = "race"
name = "counted"
"""
CLAIM = """
[[claims]]
id = "mine"
title = "mine"
reason = "."
"""
MISSES = """
[[counters]]
name = "misses"
log = "x"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[counters]]\nname = "a"',
            "counters[0]: says what is counted by one of `log`, `request`, `redis`, `script`",
        ),
        (
            '[[counters]]\nname = "a"\nlog = "x"\nredis = "GET"',
            "counters[0]: says what is counted by one of `log`, `request`, `redis`, `script`, not `log` and `redis`",
        ),
        (
            '[[counters]]\nname = "a"\nlog = "x"\nstatus = 400',
            "counters[0]: `status` is for counters of `request`; leave it out",
        ),
        (
            '[[counters]]\nname = "a"\nlog = "miss ("',
            "counters[0].log: is no regular expression: missing ), unterminated subpattern at position 5; write a sign that "
            "is meant itself behind a \\",
        ),
        (
            '[[counters]]\nname = "a"\nlog = "miss*|"',
            "counters[0].log: is found in every line, also in an empty one; write what the line must hold",
        ),
        (
            '[[counters]]\nname = "a"\nrequest = "messages.creat"',
            "counters: [0].request 'messages.creat' is no operation of threads; did you mean `messages.create` or "
            "`messages.retrieve`?",
        ),
        *(
            (f'[[counters]]\nname = "a"\nrequest = "*.create"\nstatus = {status}', f"counters[0].status{said}")
            for status, said in (
                ('"x"', ': must be a whole number or a list, not "x"'),
                ("400.5", ": must be a whole number or a list, not 400.5"),
                ("{ a = 1 }", ": must be a whole number or a list, not a table"),
                ("99", ": must be 100 or more, not 99"),
                ('[400, "x"]', '[1]: must be a whole number, not "x"'),
                ("[400, 99]", "[1]: must be 100 or more, not 99"),
            )
        ),
        (
            f'[[counters]]\nname = "lost"\nlog = "x"\n{CLAIM}kind = "below"\nlimit = 0.5\nevent = "lost"',
            "counters[0].name: 'lost' is counted in every world; give the counter another name",
        ),
        (
            f'[[counters]]\nname = "My-Misses"\nlog = "x"\n{CLAIM}kind = "never"\nevent = "My-Misses > 3"',
            'counters[0].name: has not the right form: "My-Misses"; it says: small letters, digits and _; what claims and '
            "results call it",
        ),
        (
            f'[[counters]]\nlog = "x"\n{CLAIM}kind = "never"\nevent = "misses > 3"\namong = "messages"',
            "counters[0].name: is missing; it says: small letters, digits and _; what claims and results call it",
        ),
        (
            f'[counters]\nname = "misses"\nlog = "x"\n{CLAIM}kind = "never"\nevent = "misses > 3"\namong = "messages"',
            "counters: must be a list, not a table",
        ),
        (
            f'{MISSES}{CLAIM}kind = "below"\nlimit = 0.5\nevent = "misses > 1"\namong = "misses"',
            "claims[mine].among: there is no count 'misses'; a counter cannot be the trials; name messages, or leave "
            "`among` out for worlds",
        ),
        (
            f'{CLAIM}kind = "above"\nlimit = 0.5\nevent = "reply_seconds > 20"\namong = "messages"',
            "claims[mine].event: there is no count 'reply_seconds > 20'; a series is counted up to a bound, as "
            "`reply_seconds <= 20`, with the number alone",
        ),
        (
            '[[counters]]\nname = "a"\nredis = "SETT"',
            "counters[0].redis: 'SETT' is no command that the simulated Redis knows; did you mean `SET` or `SETBIT`? A Lua "
            "script is counted by `script`, with the name in its first line",
        ),
        (
            '[[counters]]\nname = "a"\nredis = "acquire"',
            "counters[0].redis: 'acquire' is no command that the simulated Redis knows; a Lua script is counted by "
            "`script`, with the name in its first line",
        ),
        (
            '[[counters]]\nname = "a"\nredis = "client setname"',
            "counters[0].redis: must be the first word of a command alone: `CLIENT`, not 'client setname'",
        ),
        (
            '[[counters]]\nname = "a"\nlog = "x"\n[[counters]]\nname = "a"\nlog = "y"',
            "counters: [1].name 'a' is the name of [0], too; rename one of them",
        ),
        (
            '[[counters]]\nname = "lost"\nlog = "x"',
            "counters[0].name: 'lost' is counted in every world; give the counter another name",
        ),
        ('[[counters]]\nname = "a"\nlogs = "x"', "counters[0].logs: unknown key; did you mean `log`?"),
        (
            f'{CLAIM}kind = "never"\nevent = "misses > 3"',
            "claims[mine].event: there is no counter 'misses'; define it in [[counters]]",
        ),
        (
            f'{MISSES}{CLAIM}kind = "never"\nevent = "mises > 3"',
            "claims[mine].event: there is no counter 'mises'; did you mean `misses`?",
        ),
        (
            f'{MISSES}{CLAIM}kind = "below"\nevent = "misses"\namong = "messages"\nlimit = 0.5',
            "claims[mine].event: 'misses' may happen several times in a message; count the messages that had it, as "
            "`misses > 0`, or leave `among` out for the worlds that had it",
        ),
        (
            f'{MISSES}{CLAIM}kind = "below"\nevent = "misses > 1"\nlimit = 0.5',
            'claims[mine].among: must be "messages" where the event is misses > 1, which counts messages',
        ),
        (
            f'{MISSES}{CLAIM}kind = "never"\nevent = "lost"\namong = "misses"',
            "claims[mine].among: there is no count 'misses'; a counter cannot be the trials; name messages, or leave "
            "`among` out for worlds",
        ),
    ],
)
def test_a_wrong_definition_is_told_with_its_place_and_the_fix(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, f"{MINIMAL}\n{text}\n", "counted.toml"), check_relay=False)
    (problem,) = caught.value.problems
    assert re.sub(r"claims\[\d+\]", "claims[mine]", str(problem)) == f"{tmp_path / 'counted.toml'}: {said}".replace(
        f"{tmp_path}/", ""
    )


def test_a_bound_is_told_from_a_series() -> None:
    assert CounterBound.of("calls > 3") == ("calls", True, 3)
    assert CounterBound.of("calls<=3") == ("calls", False, 3)
    assert CounterBound.of("calls >= 3") is None
    assert CounterBound.of("lost") is None
