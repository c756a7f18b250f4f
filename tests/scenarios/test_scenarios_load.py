"""Goal: whoever writes a scenario file wrongly is told everything at once, in their own words, and where.

Method: files with every kind of mistake, and the exact lines that come out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from scenario_stand_ins import SMALL, write

from relaysim.scenarios.document import PathError, extend, parse_path, parse_setting, set_value
from relaysim.scenarios.load import load, load_all, variant
from relaysim.scenarios.model import ClaimEntry, Scenario
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.scenario_files import INCIDENT, shipped
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.validation_words import did_you_mean, format_path, translate


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(name: str, *sets: str, factory: str | None = None) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(name, sets, factory)
    lines = [str(problem) for problem in caught.value.problems]
    assert str(caught.value) == "\n".join(lines)
    return lines


def with_line(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


BAD = """
schema = 2
name = "two words"
titel = "x"
root_seed = "7"
replications = -4
lane = "sdkk"
profile = "typcal"
limit_seconds = inf

[profile_overrides]
cancel_seconds = -1

[relay]
factory = "relay:cancel_and_retri"
setings = {}

[[workers]]
count = 2.5

[workload]
messages = [
    { at_seconds = { kind = "lognormal", median = -0.5, sigma = 1.0 } },
    { at_seconds = -2 },
    { at_seconds = { kind = "lognorml", median = 0.5 } },
    { at_seconds = "soon" },
    { at_seconds = { kind = "lognormal", median = 0.5, sigma = 1.0, p99 = 3.0 } },
    { conversation = true, at_seconds = 1 },
]
bursts = 3

[[faults]]
kind = "status"
probability = 1.5

[[claims]]
id = "a"
title = "t"
kind = "between"
event = "recoverd_at_2"
target = 0.9
reason = "r"

[[claims]]
id = "a"
title = "t"
kind = "exact"
event = "wait_second"
among = "mesages"
value = 2
limit = 0.4
reason = "r"

[curve]
x = { path = "a", values = [], name = "x" }
claim = "b"
band = [0.1]
replications = 3
"""

BAD_LINES = """
bad.toml: profile: there is no profile 'typcal'; did you mean `typical`? (or give a path that ends in .toml)
bad.toml: profile_overrides.cancel_seconds: must be 0 or more, not -1
bad.toml: limit_seconds: must be a finite number, not inf
bad.toml: schema: must be 1, not 2
bad.toml: name: has not the right form: "two words"; it says: letters, digits, - and _; how results call it
bad.toml: title: is missing; it says: one line
bad.toml: root_seed: must be a whole number, not "7"
bad.toml: replications: must be 1 or more, not -4
bad.toml: lane: must be sdk or direct, not "sdkk"; did you mean `sdk`?
bad.toml: relay.setings: unknown key; did you mean `settings`?
bad.toml: workers[0].count: must be a whole number, not 2.5
bad.toml: workload.messages[0].at_seconds.median: must be above 0, not -0.5
bad.toml: workload.messages[1].at_seconds: must be 0 or more, not -2
bad.toml: workload.messages[2].at_seconds: unknown kind "lognorml"; did you mean `lognormal`?
bad.toml: workload.messages[3].at_seconds: must be a number of seconds or a table such as \
{ kind = "constant", value = 2.0 }, not "soon"
bad.toml: workload.messages[4].at_seconds: give exactly one of sigma, p90, p95, p99 (given: sigma, p99)
bad.toml: workload.messages[5].conversation: must be a whole number, not true
bad.toml: workload.bursts: must be a table, not 3
bad.toml: faults[0].probability: must be at most 1, not 1.5
bad.toml: claims[0]: kind 'between' needs `margin`
bad.toml: claims[1]: kind 'exact' has no `limit`
bad.toml: curve.x.values: must have at least 1 entry
bad.toml: curve.band[1]: is missing: the list is too short
bad.toml: titel: unknown key; did you mean `title`?
bad.toml: claims[0].event: there is no count 'recoverd_at_2'; did you mean `recovered_at_2` or `recovered_at_3`?
bad.toml: claims[1].id: 'a' is the id of claims[0], too
bad.toml: claims[1].event: there is no series 'wait_second'; did you mean `wait_seconds` or `polite_wait_seconds`?
bad.toml: claims[1].among: there is no count 'mesages'; did you mean `messages`?
bad.toml: curve.claim: there is no claim 'b'; there are: a, in-time, within-cost, few-notices, own-texts
bad.toml: relay.factory: relay has no 'cancel_and_retri'; did you mean cancel_and_retry, cancel_and_retry_as_run, CancelAndRetry?
""".strip().splitlines()  # noqa: E501


def test_a_bad_file_gets_all_its_errors_at_once(tmp_path: Path) -> None:
    write(tmp_path, BAD, "bad.toml")
    assert problems("bad.toml") == BAD_LINES


def test_the_problems_of_several_scenarios_come_together(tmp_path: Path) -> None:
    write(tmp_path, with_line("replications = 100", "replications = 0"))
    with pytest.raises(ScenarioError) as caught:
        load_all(["small.toml", "race", "missing.toml"])
    assert str(caught.value).splitlines() == [
        "small.toml: replications: must be 1 or more, not 0",
        "missing.toml: there is no such file",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = = 2\n", "x.toml: is no TOML: invalid value (at line 2, column 5)"),
        (b'a = 1\nb = "\xff"\n', "x.toml: line 2 is not UTF-8, as TOML must be"),
        (b"extends = 3\n", "x.toml: extends: must be the name or the path of a scenario, not 3"),
        (b'extends = "x.toml"\n', "x.toml: extends: extends itself: x -> x"),
        (b'extends = "gone.toml"\n', "x.toml: extends: there is no such file (gone.toml)"),
        (
            b'extends = "rce"\nname = "x"\n',
            "x.toml: extends: there is no shipped scenario 'rce'; did you mean `race`? "
            "(or give a path that ends in .toml)",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    assert [each.replace('expected "\'"', "unterminated string") for each in problems("x.toml")] == [line]


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    (tmp_path / "x.toml").mkdir()
    assert problems("x.toml") == ["x.toml: cannot be read: is a directory"]


def test_an_unknown_name_is_told_the_known_ones() -> None:
    assert problems("stuk_run") == [
        "stuk_run: there is no shipped scenario 'stuk_run'; did you mean `stuck_run`? "
        "(or give a path that ends in .toml)"
    ]
    (line,) = problems("zzz")
    told = re.search(r"; shipped are (\d+), such as (\w+), (\w+), (\w+); `relaysim list` has all ", line)
    assert told is not None
    assert int(told[1]) == len(shipped())
    assert set(told.groups()[1:]) < set(shipped())


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("schema = 1\n", "", "schema: is missing; it says: the number 1, for the format of this file"),
        ("root_seed = 7", "root_seed = -7", "root_seed: must be 0 or more, not -7"),
        ("at_seconds = 0.0", "at_seconds = nan", "workload.messages[0].at_seconds: must be a finite number, not nan"),
        (
            "at_seconds = 0.0",
            "at_seconds = { median = 0.5 }",
            "workload.messages[0].at_seconds: `kind` is missing; "
            "allowed: constant, uniform, exponential, lognormal, mixture",
        ),
        ("messages = [{ at_seconds = 0.0 }]", "", "workload: nobody writes: give `messages` or `bursts`"),
        (
            "at_seconds = 0.0",
            "at_seconds = 0.0, worker = 3",
            "workload.messages[0] names worker 3, but there are 2",
        ),
        (
            "at_seconds = 0.0",
            "at_seconds = 0.0, conversation = 3",
            "workload: messages[0] names conversation 3, but there are 1",
        ),
        ("[relay]\n", "[relay]\nfriendly_text = ''\n", "relay.friendly_text: must not be empty"),
        (
            'factory = "relaysim.relay:cancel_and_retry"',
            'factory = "relaysim.relay.cancel_and_retry"',
            'relay.factory: has not the right form: "relaysim.relay.cancel_and_retry"; it says: `package.module:function`, '
            "called with the OpenAI client, the Redis client and a send coroutine, or with nothing; returns an object with "
            "`async handle(message)` or a web application. Or `package.module:app`, the application itself. Also called "
            "`app`",
        ),
        (
            'factory = "relaysim.relay:cancel_and_retry"',
            'factory = "no_such_module:make"',
            "relay.factory: there is no module 'no_such_module'; run from the folder that holds it, or install it",
        ),
        (
            'profile = "claimed"',
            'profile = "claimed"\nprofile_overrides = { cancel_second = 1.0 }',
            "profile_overrides.cancel_second: unknown key; did you mean `cancel_seconds` or `stuck_cancel_seconds`?",
        ),
        ('profile = "claimed"', 'profile = "mine.toml"', "profile: there is no file mine.toml"),
        ('profile = "claimed"', "profile = 3", "profile: must be a text, not 3"),
        (
            'profile = "claimed"',
            'profile = "claimed"\nbackend = 1',
            "backend: unknown key; the profile is named by `profile`",
        ),
        (
            'kind = "exact"',
            'kind = "exactly"',
            "claims[1].kind: must be between or below or above or never or absent or exact, "
            'not "exactly"; did you mean `exact`?',
        ),
        ("margin = 0.05", "margin = 1.5", "claims[0].margin: must be at most 1, not 1.5"),
        (
            'reason = "one in ten is lost"',
            "",
            "claims[2].reason: is missing; it says: why that verdict is expected, in one line",
        ),
    ],
)
def test_each_mistake_has_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    write(tmp_path, with_line(old, new))
    assert problems("small.toml") == [f"small.toml: {line}"]


def test_settings_that_the_relay_refuses_are_found_before_anything_runs(tmp_path: Path) -> None:
    write(tmp_path)
    (line,) = problems("small.toml", "relay.settings.first_wait=1")
    assert line.startswith(
        "--set relay.settings.first_wait=1: relay.settings: relaysim.relay:cancel_and_retry cannot be built"
    )
    assert "did you mean first_wait_seconds?" in line


def test_a_map_over_a_path_that_makes_no_scenario_is_refused(tmp_path: Path) -> None:
    axis = 'path = "relay.settings.x.y", values = [1.0], name = "x"'
    other = 'path = "workload.messages[0].at_seconds", values = [0.0, -1.0], name = "y"'
    write(tmp_path, f"{SMALL}\n[map]\nx = {{ {axis} }}\ny = {{ {other} }}\nreplications = 2\nclaims = ['wait2']\n")
    assert problems("small.toml") == ["small.toml: map.claims[0]: there is no claim 'wait2'; did you mean `wait`?"]
    write(tmp_path, f"{SMALL}\n[map]\nx = {{ {axis} }}\ny = {{ {other} }}\nreplications = 2\n")
    assert problems("small.toml") == [
        "small.toml: map.y: workload.messages[0].at_seconds = -1 makes no scenario: must be 0 or more, not -1.0"
    ]


def test_a_bad_profile_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    path = write(folder, with_line('profile = "claimed"', 'profile = "slow.toml"'))
    (folder / "slow.toml").write_text('name = "slow"\ntitle = 3\nstuck_probability = { value = -1 }\n', "utf-8")
    lines = problems(path)
    assert "profiles/slow.toml: title: must be a text, not 3" in lines
    assert "profiles/slow.toml: stuck_probability: must be 0 or more, not -1" in lines
    assert {line.partition(": ")[0] for line in lines} == {"profiles/slow.toml"}
    (folder / "slow.toml").write_text("name = ", "utf-8")
    assert problems(path) == ["profiles/slow.toml: is no TOML: invalid value (at end of document)"]


def _places(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*steps, key)
        yield from _places(each, (*steps, key))


@pytest.mark.parametrize("wrong", ["3", '"x"', "[[]]", '{ kind = "x" }'])
def test_a_wrong_type_anywhere_is_a_problem_or_nothing_but_never_a_crash(tmp_path: Path, wrong: str) -> None:
    write(tmp_path)
    for steps in _places(tomllib.loads(SMALL)):
        for name in ("small.toml", "child.toml"):
            write(tmp_path, 'extends = "small.toml"\nname = "child"\nclaims = [{ id = [] }]\n', "child.toml")
            try:
                load(name, [f"{format_path(steps)}={wrong}"], "relaysim.relay:check_then_act", check_relay=False)
            except ScenarioError as error:
                for problem in error.problems:
                    assert "\n" not in str(problem)
                    assert "wrong type" not in str(problem)


def test_no_line_speaks_pydantic(tmp_path: Path) -> None:
    write(tmp_path, BAD, "bad.toml")
    for line in problems("bad.toml"):
        for word in ("Input should", "pydantic", "valid", "discriminator", "dictionary", "instance of"):
            assert word not in line


# extends


def test_a_child_changes_what_it_names(tmp_path: Path) -> None:
    write(tmp_path)
    child = """
        extends = "small.toml"
        name = "child"
        relay.settings.attempts = 5
        profile_overrides.cancel_seconds = { kind = "constant", value = 1.0 }
        [[claims]]
        id = "wait"
        value = 3.0
        [[claims]]
        id = "transparent"
        drop = true
        [[claims]]
        id = "new"
        title = "t"
        kind = "never"
        event = "lost"
        reason = "r"
        """
    write(tmp_path, child, "child.toml")
    parent, made = load("small.toml"), load("child.toml")
    assert [claim.id for claim in made.claims] == ["first-retry", "wait", "new"]
    assert [claim.value for claim in made.claims] == [None, 3.0, None]
    assert made.claims[1].reason == parent.claims[1].reason
    assert made.relay.settings == {"attempts": 5}
    assert made.backend.cancel_seconds == Constant(kind="constant", value=1.0)
    assert made.replications == parent.replications
    assert (parent.name, made.name) == ("small", "child")


def test_a_name_is_not_inherited(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, 'extends = "small.toml"\n', "child.toml")
    assert problems("child.toml") == [
        "child.toml: name: is missing; it says: letters, digits, - and _; how results call it"
    ]


def test_a_distribution_is_replaced_and_not_mixed() -> None:
    parent = {"a": {"kind": "lognormal", "median": 1.0, "sigma": 2.0}, "map": {"x": 1}, "list": [1, 2]}
    child = {"a": {"kind": "constant", "value": 1.0}, "map": {"drop": True}, "list": [3]}
    assert extend(parent, child) == {"a": {"kind": "constant", "value": 1.0}, "list": [3]}
    assert extend(parent, {"a": {"sigma": 3.0}})["a"] == {"kind": "lognormal", "median": 1.0, "sigma": 3.0}


def test_an_error_names_the_file_of_the_chain_that_has_it(tmp_path: Path) -> None:
    write(tmp_path, with_line("margin = 0.05", "margin = 5").replace("replications = 100", "replications = 0"))
    child = 'extends = "small.toml"\nname = "c"\n[[claims]]\nid = "transparent"\nkind = "nevr"\n'
    write(tmp_path, child, "child.toml")
    assert problems("child.toml") == [
        "small.toml: replications: must be 1 or more, not 0",
        "small.toml: claims[0].margin: must be at most 1, not 5",
        "child.toml: claims[0].kind: must be between or below or above or never or absent or exact, "
        'not "nevr"; did you mean `never`?',
    ]


def test_a_profile_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    shipped_profile = Path(__file__).parents[2] / "sim/backends/profiles/claimed.toml"
    (folder / "mine.toml").write_text(shipped_profile.read_text("utf-8").replace('"claimed"', '"mine"', 1), "utf-8")
    write(folder, with_line('profile = "claimed"', 'profile = "mine.toml"'))
    write(tmp_path, 'extends = "base/small.toml"\nname = "c"\n', "child.toml")
    assert load("child.toml").backend.name == "mine"


# --set and --factory


def test_sets_reach_into_tables_and_lists(tmp_path: Path) -> None:
    write(tmp_path)
    sets = [
        "workload.messages[0].at_seconds=2.5",
        "relay.settings.cancel_error=raise",
        "relay.settings.waits=[1, 2, 3]",
        "profile_overrides.cancel_seconds.median=0.5",
        "title=a = b",
    ]
    scenario = load("small.toml", sets)
    assert scenario.workload.messages[0].at_seconds.sample(0.5) == 2.5
    assert scenario.relay.settings == {"cancel_error": "raise", "waits": [1, 2, 3]}
    assert scenario.backend.cancel_seconds.sample(0.5) == pytest.approx(0.5, rel=1e-12)
    assert scenario.title == "a = b"
    assert scenario.origin.settings["relay.settings.waits"] == "[1, 2, 3]"


def test_bad_sets_are_named_as_typed(tmp_path: Path) -> None:
    write(tmp_path)
    assert problems("small.toml", "x", "a..b=1", "workload.messages[7].at_seconds=3", "title.x=3", "lane=fast") == [
        "--set x: 'x' sets nothing: write PATH=VALUE, e.g. relay.settings.attempts=5",
        "--set a..b=1: 'a..b' is no path: write keys with dots in between, e.g. relay.settings.attempts",
        "--set workload.messages[7].at_seconds=3: workload.messages has 1 items, counted from 0; there is no [7]",
        "--set title.x=3: title is 'A small scenario', not a table, so nothing lies below it",
        '--set lane=fast: lane: must be sdk or direct, not "fast"',
    ]


def test_another_relay_gets_no_settings_of_the_first_and_the_claims_about_any_relay(tmp_path: Path) -> None:
    text = with_line('reason = "one in ten waits longer"', 'reason = "r"\nscope = "incident"')
    write(tmp_path, text.replace("[workload]", "settings = { attempts = 4 }\n[workload]"))
    scenario = load("small.toml", ["relay.settings.poll_attempts=9"], factory="relaysim.relay:check_then_act")
    assert scenario.relay.factory == "relaysim.relay:check_then_act"
    assert scenario.relay.settings == {"poll_attempts": 9}
    assert [(claim.id, claim.expect) for claim in scenario.claims] == [
        ("first-retry", "verified"),
        ("transparent", "verified"),
        ("in-time", "verified"),
        ("within-cost", "verified"),
        ("few-notices", "verified"),
        ("own-texts", "verified"),
    ]
    own = text.replace('id = "transparent"', 'id = "within-cost"')
    write(tmp_path, own)
    scenario = load("small.toml", factory="relaysim.relay:check_then_act")
    assert [claim.event for claim in scenario.claims if claim.id == "within-cost"] != ["over_cost"]
    in_strata = load("rare_stuck", factory="relaysim.relay:check_then_act", check_relay=False)
    assert {claim.among for claim in in_strata.claims if claim.id in ("in-time", "within-cost")} == {"replications"}


def test_a_relay_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    (tmp_path / "a_bot_for_tests.py").write_text(
        "def none(client, redis, send):\n    return None\ndef picky(client, redis):\n    return None\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert problems("small.toml", factory="a_bot_for_tests:none") == [
        "--factory a_bot_for_tests:none: a_bot_for_tests:none gave NoneType, which has no `handle`; "
        "return an object with `def handle(self, message)`, plain or async, or an ASGI application, or a WSGI application"
    ]
    assert problems("small.toml", factory="a_bot_for_tests:non") == [
        "--factory a_bot_for_tests:non: a_bot_for_tests has no 'non'; did you mean none?"
    ]
    (line,) = problems("small.toml", factory="a_bot_for_tests:picky")
    assert "a_bot_for_tests:picky cannot be built: TypeError: picky() takes 2 positional arguments" in line


# Paths


def test_paths_are_read_and_written() -> None:
    assert parse_path("a.b[2].c") == ["a", "b", 2, "c"] == parse_path("a.b.2.c")
    assert format_path(["a", "b", 2, "c"]) == "a.b[2].c"
    assert parse_setting("a.b={ x = 1 }") == ("a.b", {"x": 1})
    assert parse_setting("a=hello") == ("a", "hello")
    assert parse_setting("a=1\nb=2") == ("a", "1\nb=2")
    document: dict[str, Any] = {"list": [{"a": 1}]}
    set_value(document, "list[0].a", 2)
    set_value(document, "new.table", 3)
    assert document == {"list": [{"a": 2}], "new": {"table": 3}}
    with pytest.raises(PathError, match="list is a list: name an item"):
        set_value(document, "list.a", 1)


# The model


def test_hash_is_of_what_the_file_says_and_not_of_how_or_how_often(tmp_path: Path) -> None:
    write(tmp_path)
    known = load("small.toml")
    reordered = "\n".join(["schema = 1", 'profile = "claimed"', 'lane = "sdk"', "# a comment", *SMALL.splitlines()[3:]])
    reordered = reordered.replace('lane = "direct"\nprofile = "claimed"\n', 'name = "small"\n')
    write(tmp_path, reordered, "again.toml")
    assert load("again.toml", ["replications=3"]).hash == known.hash
    assert Scenario.from_json(known.to_json()).hash == known.hash
    assert len(known.hash) == 16
    for changed in (
        "root_seed=8",
        "profile_overrides.cancel_seconds.median=0.7",
        "relay.settings.attempts=2",
        "claims[0].margin=0.04",
        "profile=typical",
    ):
        assert load("small.toml", [changed]).hash != known.hash


def test_a_scenario_survives_the_way_to_another_process(tmp_path: Path) -> None:
    write(tmp_path, SMALL + '\n[[faults]]\nkind = "connect_error"\nnth = [1]\n')
    for name in (*shipped(), "small.toml"):
        scenario = load(name, check_relay=False)
        again = Scenario.from_json(scenario.to_json())
        assert again.model_dump() == scenario.model_dump()
        assert again.world_settings() == scenario.world_settings()


def test_variant_changes_one_quantity(tmp_path: Path) -> None:
    write(tmp_path)
    scenario = load("small.toml", ["profile_overrides.cancel_seconds.median=0.5"])
    other = variant(
        scenario, {"profile_overrides.cancel_seconds.median": 2.0, "profile_overrides.stuck_probability": 0.5}
    )
    assert other.backend.cancel_seconds.sample(0.5) == pytest.approx(2.0, rel=1e-12)
    assert other.backend.stuck_probability == 0.5
    assert scenario.backend.cancel_seconds.sample(0.5) == pytest.approx(0.5, rel=1e-12)
    assert other.hash != scenario.hash


def test_the_incident_is_shipped_in_its_order_and_first() -> None:
    assert shipped()[: len(INCIDENT)] == INCIDENT
    scenarios = load_all(INCIDENT)
    assert tuple(scenario.name for scenario in scenarios) == INCIDENT
    ids = {claim.id for scenario in scenarios for claim in scenario.claims}
    assert ids >= {
        "before-rate",
        "first-retry",
        "second-retry",
        "polite-failure",
        "success",
        "race-wait",
        "stuck-wait",
        "persistent-wait",
        "transparent",
        "error-target",
        "log-lines",
    }
    assert all(claim.reason and "\n" not in claim.reason for scenario in scenarios for claim in scenario.claims)


def _models(model: type[BaseModel], seen: dict[type[BaseModel], None]) -> Iterator[type[BaseModel]]:
    if model in seen:
        return
    seen[model] = None
    yield model
    from relaysim.sim.validation_words import models_in

    for field in model.model_fields.values():
        for table in models_in(field.annotation):
            yield from _models(table, seen)


def test_every_field_of_a_scenario_is_documented() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in _models(Scenario, {})
        if model.__module__.startswith(("relaysim.scenarios", "relaysim.sim.world"))
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert bare == []


def test_a_claim_becomes_what_reports_judge() -> None:
    entry = ClaimEntry(id="a", title="t", kind="below", event="failed", among="messages", limit=0.1, reason="r")
    spec = entry.spec()
    assert (spec.id, spec.kind, spec.event, spec.among, spec.limit, spec.alpha) == (
        "a",
        "below",
        "failed",
        "messages",
        0.1,
        0.01,
    )


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ([], 2),  # two messages, and no new tries
        (["workload.try_again_seconds=30.0"], 4),
        (["workload.try_again_seconds=30.0", "workload.tries_again_max=3"], 8),
    ],
)
def test_the_workload_says_how_many_messages_a_world_can_have(settings: list[str], most: int) -> None:
    specs = load("incident", settings, check_relay=False).specs()
    assert specs["transparent"].trials_max == most
    assert specs["first-retry"].trials_max is None, "how often a world meets an active run is in no workload"


def test_of_messages_in_bursts_there_is_no_most() -> None:
    scenario = load("peak_hour", check_relay=False)
    assert scenario.workload.messages_max is None
    assert {spec.trials_max for spec in scenario.specs().values()} == {None}


def test_translate_says_the_same_thing_once() -> None:
    error: Any = {"type": "int_type", "loc": ("replications",), "msg": "", "input": "x"}
    assert len(translate([error, error], Scenario, {"replications": "x"})) == 1


def test_a_variable_of_the_environment_may_be_a_number() -> None:
    scenario = load("rapid_pair", ["environment.DEBOUNCE=0.5", "environment.PORT=8000", 'environment.NAME="7"'])
    assert scenario.environment == {"DEBOUNCE": "0.5", "PORT": "8000", "NAME": "7"}


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ('[replies]\nkind = "scrip"', 'replies: unknown kind "scrip"; did you mean `script`?'),
        ('[replies]\nkind = "callable"', 'replies: unknown kind "callable"; allowed: echo, script'),
        ('[replies]\nkind = "script"\nreplies = []', "replies.replies: must have at least 1 entry"),
        (
            '[replies]\nkind = "script"\nreplies = [{ txt = "a" }]',
            "replies.replies[0].txt: unknown key; did you mean `text` or `texts`?",
        ),
        (
            '[replies]\nkind = "script"\nreplies = [{ tool_calls = [{}] }]',
            "replies.replies[0].tool_calls[0]: a function needs its `name`",
        ),
        ("[other_endpoints]\nseconds = -1", "other_endpoints.seconds: must be 0 or more, not -1"),
        (
            '[other_endpoints]\nchat = { kind = "callable" }',
            'other_endpoints.chat: unknown kind "callable"; allowed: echo',
        ),
    ],
)
def test_a_script_with_a_mistake_is_one_line(tmp_path: Path, table: str, line: str) -> None:
    (found,) = problems(str(write(tmp_path, f"{SMALL}\n{table}\n")))
    assert line in found


def test_a_script_changes_the_hash_and_its_absence_does_not(tmp_path: Path) -> None:
    before = load(str(write(tmp_path, SMALL))).hash
    scripted = load(str(write(tmp_path, f'{SMALL}\n[replies]\nkind = "script"\nreplies = [{{ text = "a" }}]\n'))).hash
    voiced = load(str(write(tmp_path, f'{SMALL}\n[other_endpoints]\ntranscriptions = ["a"]\n'))).hash
    plain = load(str(write(tmp_path, f'{SMALL}\n[replies]\nkind = "echo"\n'))).hash
    assert len({before, scripted, voiced}) == 3
    assert plain == before


@pytest.mark.parametrize(
    ("event", "among", "said"),
    [
        ("reply_second <= 20", "messages", "event: there is no series 'reply_second'; did you mean `reply_seconds`?"),
        (
            "lost <= 2",
            "messages",
            "event: there is no series 'lost'; there are: wait_seconds, polite_wait_seconds, reply_seconds",
        ),
        *(
            (
                wrong,
                "messages",
                f"event: there is no count '{wrong}'; a series is counted up to a bound, as `reply_seconds <= 20`",
            )
            for wrong in ("reply_seconds >= 20", "reply_seconds <= 20 seconds", "reply_seconds", "reply_seconds <= nan")
        ),
        (
            "reply_seconds <= 20",
            "replications",
            'among: `among` must say which values there could be, such as "messages", where the event is reply_seconds <= ',
        ),
    ],
)
def test_a_series_with_a_bound_is_one_that_there_is_among_what_could_have_a_value(
    tmp_path: Path, event: str, among: str, said: str
) -> None:
    claim = f'''
[[claims]]
id = "quick"
title = "95 % are answered within 20 s"
kind = "above"
event = "{event}"
among = "{among}"
limit = 0.95
reason = "r"
'''
    write(tmp_path, SMALL + claim, "bad.toml")
    (problem,) = problems("bad.toml")
    assert problem.partition(".")[2].partition("].")[2].startswith(said)
    good = claim.replace(event, "reply_seconds <= 20").replace(among, "messages")
    write(tmp_path, SMALL + good, "good.toml")
    assert load("good.toml").claims[-1].event == "reply_seconds <= 20"


def test_a_wrong_switch_of_an_api_of_its_own_is_one_problem() -> None:
    """What stands in for the profile that could not be read has the same numbers, so that nothing else looks unknown."""
    with pytest.raises(ScenarioError) as caught:
        load("drain_responses", ['profile_overrides={lock="foo"}'])
    (problem,) = caught.value.problems
    assert "profile_overrides.lock: must be openai400 or foundry409 or none or steer" in str(problem)


def test_no_message_lists_more_than_ten_names() -> None:
    ten, eleven = ([f"name{number:02}" for number in range(count)] for count in (10, 11))
    assert did_you_mean("zzz", ten, what="there are") == f"there are: {', '.join(ten)}"
    told = did_you_mean("zzz", eleven, what="there are", everything="the page has all")
    assert re.fullmatch(r"there are 11, such as name\d\d, name\d\d, name\d\d; the page has all", told)
    assert did_you_mean("lost", ["T1-no-message-lost", *eleven]) == "did you mean `T1-no-message-lost`?"
    assert did_you_mean("name", eleven).startswith("did you mean ")
