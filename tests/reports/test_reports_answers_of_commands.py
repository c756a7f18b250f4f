"""Goal: `compare`, `tune`, `sweep` and `fit` say which to take and flatter none.

Method: invented results, one for each branch of each answer.
"""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from relaysim.reports.answer_terminal import COLUMNS, LINES, screen
from relaysim.reports.answers import Answer, answer_of
from relaysim.reports.comparison import MEASURES

LESS, MORE, OPEN = (-0.2, -0.1), (0.1, 0.2), (-0.1, 0.1)


def assert_fits(answer: Answer) -> None:
    lines = [text for text, _ in screen(answer)]
    wide = [line for line in lines if len(line) > COLUMNS]
    assert all(line.strip() in answer.commands for line in wide)
    assert len(lines) <= LINES + len(wide)


# compare


def compared(counts: tuple[int, int], /, **told: tuple[float, float]) -> dict[str, Any]:
    """The policies `new` and `old` in the same worlds; `told` has the interval of the difference of some measures."""

    def policy(name: str, failed: int) -> dict[str, Any]:
        measures = {each.id: {"value": 0.5, "interval": [0.4, 0.6]} for each in MEASURES}
        measures["failed"] = {"value": failed / 1000, "interval": [0.0, 0.9]}
        return {
            "policy": name,
            "counts": {"messages": 1000, "failed": failed, "lost": failed // 2},
            "measures": measures,
            "settings": {},
            "workers": [],
            "left_out": [],
            "never_met": [],
            "own": False,
        }

    differences = {
        each.id: {
            "value": sum(told.get(each.id, OPEN)) / 2,
            "interval": list(told.get(each.id, OPEN)),
            "worlds_differing": 9,
            "both_never": False,
        }
        for each in MEASURES
    }
    return {
        "kind": "comparison",
        "scenario": "small",
        "against": "old",
        "replications": 60,
        "policies": [policy("old", counts[0]), policy("new", counts[1])],
        "differences": [{"policy": "new", "against": "old", "measures": differences, "example": None}],
    }


@pytest.mark.parametrize(
    ("told", "status", "title"),
    [
        ({"failed": LESS}, "better", "new is better than old: 5.00 % of messages fail, not 9.00 %"),
        ({"failed": MORE}, "worse", "new is worse than old: 5.00 % of messages fail, not 9.00 %"),
        (
            {"or_never_p95": LESS},
            "better",
            "new is better than old in the 95 % wait; how many messages fail is not told apart (5.00 %, 9.00 %)",
        ),
        (
            {"lost": LESS, "or_never_p50": MORE},
            "mixed",
            "How many messages fail is not told apart (new 5.00 %, old 9.00 %); new is better in lost messages, worse in "
            "the 50 % wait",
        ),
        (
            {"failed": LESS, "or_never_p50": MORE, "or_never_p95": MORE, "or_never_p99": MORE},
            "mixed",
            "new fails 5.00 % of messages, old 9.00 %; but new is worse in the 50 % wait, the 95 % wait and 1 more",
        ),
        (
            {"failed": MORE, "or_never_p50": LESS},
            "mixed",
            "new fails 5.00 % of messages, old only 9.00 %; but new is better in the 50 % wait",
        ),
        ({}, "open", "new and old are not told apart: how many messages fail is not told apart (5.00 %, 9.00 %)"),
    ],
)
def test_a_policy_is_better_or_worse_by_what_customers_feel(told: Any, status: str, title: str) -> None:
    answer = answer_of(compared((90, 50), **told))
    assert (answer.status, answer.title) == (status, title)
    assert answer.found[0] == "old: 90 of 1,000 (9.00 %) failed, 45 of them got nothing."
    assert_fits(answer)


def beside(found: dict[str, Any], name: str, count: int, /, **told: tuple[float, float]) -> None:
    """Put one more policy into a comparison."""
    more = compared((90, count), **told)
    found["policies"].append({**more["policies"][1], "policy": name})
    found["differences"].append({**more["differences"][0], "policy": name})


def test_a_policy_that_fails_far_less_is_the_title_whatever_else_is_worse_under_it() -> None:
    found = compared((525, 524), or_never_p95=LESS)
    beside(found, "third", 25, failed=LESS, or_never_p50=MORE)
    answer = answer_of(found)
    assert answer.status == "mixed"
    assert answer.title == "third fails 2.50 % of messages, old 52.50 %; but third is worse in the 50 % wait"
    assert answer.found[-1] == (
        "third: 25 of 1,000 (2.50 %) failed, 12 of them got nothing: better in failures, worse in the 50 % wait."
    )
    assert_fits(answer)


def test_beside_a_better_policy_the_one_that_fails_least_is_named() -> None:
    found = compared((525, 400), failed=LESS)
    beside(found, "third", 25, failed=LESS, or_never_p50=MORE)
    assert answer_of(found).title == (
        "new is better than old: 40.00 % of messages fail, not 52.50 %; fewest fail under third: 2.50 %"
    )


def test_apologies_turned_into_nothing_are_no_failures_less() -> None:
    found = compared((525, 400), or_never_p95=LESS)
    beside(found, "third", 25, failed=LESS, lost=MORE)
    assert answer_of(found).title.startswith("new is better than old in the 95 % wait")


def test_where_none_is_better_each_stands_with_what_fails_under_it() -> None:
    found = compared((90, 50), lost=LESS, or_never_p50=MORE)
    beside(found, "third", 70)
    assert answer_of(found).title == (
        "None is shown to be better than old, under which 9.00 % of messages fail: new (5.00 %) is better in some, worse in "
        "some, third (7.00 %) is not told apart"
    )


def test_a_policy_that_nobody_failed_under_is_not_kept_without_its_breaches() -> None:
    """Three worlds rank nobody, but a breach that was seen was seen: "Keep old" alone would call it safe."""
    found = compared((0, 0))
    beside(found, "third", 0)
    kept = found["policies"][[each["policy"] for each in found["policies"]].index("old")]
    kept["counts"]["breached_messages"] = 2
    answer = answer_of(found)
    assert "under which 0 % of messages fail and 2 of 1,000 meet a breach" in answer.title
    assert any("0 of them got nothing; 2 met a breach" in each for each in answer.found)
    assert answer.advice[0].endswith(" met a breach; relaysim verify shows which.")
    assert " It is not safe: 2 of 1,000 (" in answer.advice[0]
    kept["counts"]["breached_messages"] = 0
    assert "breach" not in answer_of(found).title


def test_each_number_of_what_a_policy_costs_has_its_unit() -> None:
    answer = answer_of(compared((90, 50), failed=LESS))
    assert answer.advice[0] == "Take new here (0.50 API requests per message, 0.50 Redis commands per message)."


def test_of_failures_that_are_not_told_apart_it_says_why_and_how_many_worlds_would_do() -> None:
    found = compared((90, 50))
    failed = found["differences"][0]["measures"]["failed"]
    for needed, words in (
        (240, "of failures some 240 worlds would tell more (--replications 240)"),
        (None, "of failures not even 1,024 times as many worlds like these would tell more"),
    ):
        failed["worlds_needed"] = needed
        answer = answer_of(found)
        assert answer.advice[0] == (
            f"Keep old until something is shown; {words}: messages of one world hang together, so 60 worlds count, not "
            "1,000 messages."
        )
        assert_fits(answer)


@pytest.mark.parametrize(("failed", "side"), [([3, 0], 0), ([0, 3], 1)])
def test_the_world_in_which_policies_lie_farthest_apart_is_shown_under_the_one_that_fails(
    failed: list[int], side: int
) -> None:
    found = compared((90, 50), failed=LESS)
    found["differences"][0]["example"] = {"seed": 7, "failed": failed, "replay": ["replay new", "replay old"]}
    answer = answer_of(found)
    assert answer.commands == [f"replay {('new', 'old')[side]}"]
    assert answer.advice[-1] == f"Where they lie farthest apart, {('new', 'old')[side]} fails:"


@pytest.mark.parametrize("count", [2, 5])
def test_no_measures_name_is_cut_off_however_many_policies_there_are(count: int) -> None:
    found = compared((90, 50), failed=LESS)
    difference = found["differences"][0]
    for at in range(count - 2):
        name = f"another_policy_{at}"
        found["policies"].append({**found["policies"][1], "policy": name})
        found["differences"].append({**difference, "policy": name})
    answer = answer_of(found)
    lines = [text for text, _ in screen(answer, lines=None)]
    table = lines[lines.index("") + 1 :]
    assert not [line for line in table[1:] if "…" in line]
    labels = {line.split("  ")[1] for line in table[1:] if line.startswith("  ")}
    assert labels >= (
        {"failed: an apology, or lost"} if count == 2 else {"failed", "breaches", "95 % wait", "commands"}
    )
    for told in ("+ better, - worse", "per 100 messages", "per message"):
        assert any(told in line for line in table if not line.startswith("  ")) == (count == 5)


@pytest.mark.parametrize("measure", ["replied_p95", "own_reply", "apologies", "requests"])
def test_what_hides_those_without_an_answer_or_is_a_cost_decides_nothing(measure: str) -> None:
    for told in (LESS, MORE):
        assert answer_of(compared((90, 50), **{measure: told})).status == "open"


def test_settings_that_a_policy_did_not_get_are_told_on_the_first_screen() -> None:
    found = compared((90, 50), failed=LESS)
    found["policies"][1]["left_out"] = [{"workers": "w4", "settings": {"prefix": "other:"}}]
    assert answer_of(found).notes[1:] == ["! new does not know prefix, so w4 ran without; --settings gives it its own."]
    found["policies"][1]["workers"] = [{"workers": "w4", "settings": {"key": "x"}}]
    assert answer_of(found).notes[1:] == ['! new does not know prefix, so w4 had key = "x" in its place.']


# tune


def tuned(recommended: int | None, *, worlds: int = 400, drain: int | None = 10) -> dict[str, Any]:
    def measured(failed: int, **more: Any) -> dict[str, Any]:
        share = {"value": failed / 800, "interval": [failed / 900, failed / 700], "count": failed, "among": 800}
        plain = {"value": 1.0, "interval": [0.9, 1.1]}
        better = {"difference": -0.1, "difference_interval": [-0.2, -0.05], "verdict": "better", **more}
        return {
            "failures": {**share, **better},
            "added_delay": {**plain, **better},
            "api_calls": {**plain, **better},
            "all_failed": {**share, **better},
        }

    return {
        "kind": "tune",
        "policy": "cancel_and_retry",
        "scenario": "small",
        "profiles": {"claimed": "h", "typical": "h"},
        "objectives": [
            {"id": "failures", "unit": "share"},
            {"id": "added_delay", "unit": "s"},
            {"id": "api_calls", "unit": "requests"},
        ],
        "beside": [{"id": "never_appended", "unit": "share"}, {"id": "all_failed", "unit": "share"}],
        "held_out": {"replications": worlds, "replications_min": 100, "differing_min": 10},
        "present": {
            "settings": {"attempts": 3},
            "waits": [2.0, 4.0, 8.0],
            "held_out": {"claimed": measured(410), "typical": measured(420)},
        },
        "drain": None if drain is None else {"claimed": measured(drain), "typical": measured(drain)},
        "trials": [],
        "judged": [
            {
                "settings": {"attempts": 3, "jitter": "none"},
                "waits": [2.0, 3.0, 4.5],
                "by_profile": {"claimed": measured(400), "typical": measured(408)},
                "grade": {"claimed": "better", "typical": "better"},
                "excess": {},
                "fragile": False,
            }
        ],
        "recommended": recommended,
    }


def test_a_gain_stands_beside_what_still_fails_and_beside_drain() -> None:
    answer = answer_of(tuned(0))
    assert answer.status == "take"
    assert answer.title == (
        "Best settings: candidate 1 (2, 3, 4.5 s); of all messages 51.00 % still fail under typical "
        "(now 52.50 %; drain 1.25 %)"
    )
    assert answer.found[1] == (
        "Failed, of all messages under typical: present settings 420 of 800 (52.50 %), candidate 1 408 of 800 (51.00 %), "
        "drain 10 of 800 (1.25 %)."
    )
    assert answer.advice == [
        "Take drain if you can (docs/drain.md): it fails less under every profile. If it must be these waits, policy.toml "
        "has candidate 1, better in every objective under every profile."
    ]
    assert_fits(answer)


def test_without_a_better_relay_the_candidate_is_taken_and_without_a_candidate_nothing_is() -> None:
    assert (
        answer_of(tuned(0, drain=500)).advice[0].startswith("Take policy.toml, which has candidate 1: better in every")
    )
    kept = answer_of(tuned(None))
    assert kept.status == "keep"
    assert kept.title == (
        "Keep the present settings: no candidate is shown to be better; of all messages 52.50 % fail under typical; "
        "drain 1.25 %"
    )
    few = answer_of(tuned(None, worlds=50, drain=None))
    assert few.status == "too few worlds"
    assert "--held-out at least 100" in few.advice[0]
    assert_fits(few)


def test_signs_and_heads_of_the_table_are_explained_and_no_two_columns_are_called_the_same() -> None:
    found = tuned(0)
    by_profile = found["judged"][0]["by_profile"]["typical"]
    by_profile["failures"] |= {"verdict": "unknown"}
    by_profile["added_delay"] |= {"verdict": "open"}
    found["drain"] = {name: {"all_failed": each["all_failed"]} for name, each in found["drain"].items()}
    answer = answer_of(found)
    assert answer.table.heads == ("", "conflicts failed", "added delay", "API calls", "of all failed")
    (legend,) = answer.notes
    assert legend == (
        "Conflicts: messages that met an active run, to which added delay and API calls belong; ≈ not told apart; ? too few "
        "worlds, or too few that differ, to tell; – not measured of drain."
    )
    (drain,) = {line.cells for group in answer.table.groups for line in group.lines if line.cells[0] == "drain"}
    assert drain == ("drain", "–", "–", "–", "1.25 % better")
    found["beside"] = [{"id": "lost", "unit": "share"}, {"id": "all_failed", "unit": "share"}]
    of_messages = answer_of(found)
    assert of_messages.table.heads == ("", "failures", "added delay", "API calls")
    assert "Conflicts" not in of_messages.notes[0]
    assert_fits(answer)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-0.03, 0.01, "about 1,700 would (--held-out 1700), if the difference stays what it is."),
        (-0.100001, 0.1, "not even 1,024 times as many would, if the difference stays what it is."),
        (-0.02, -0.01, ""),
    ],
)
def test_worlds_that_cannot_tell_candidates_apart_say_how_many_would(low: float, high: float, told: str) -> None:
    """An interval of 0.02 to either side of -0.01 lies beside zero at half that width: in four times the worlds."""
    found = tuned(None)
    verdict = "open" if high > 0 else "better"
    found["judged"][0]["by_profile"]["typical"]["failures"] |= {
        "difference": (low + high) / 2,
        "difference_interval": [low, high],
        "verdict": verdict,
    }
    said = [each for each in answer_of(found).found if "do not tell failures" in each]
    assert [each.partition("typical; ")[2] for each in said] == ([told] if told else [])
    if said:
        assert said[0].startswith("These 400 worlds do not tell failures of candidate 1 from those now under typical")


# sweep


def point(attempts: int, failed: int, *verdicts: str) -> dict[str, Any]:
    claims = [
        {
            "id": f"c{at}",
            "title": f"claim {at}",
            "kind": "below",
            "event": "failed",
            "verdict": verdict,
            "count": failed,
            "n": 100,
            "observed": failed / 100,
            "interval": [0.0, 1.0],
            "limit": [0.0, 0.1],
        }
        for at, verdict in enumerate(verdicts)
    ]
    return {
        "values": {"relay.settings.attempts": attempts},
        "factory": "relaysim.relay:cancel_and_retry",
        "claims": claims,
        "outcomes": {"messages": 100, "failed": failed, "lost": 0},
        "never_met": [],
        "replications": 50,
        "replay": f"relaysim replay small --seed {{seed}} --set relay.settings.attempts={attempts}",
    }


def test_no_point_of_several_alike_is_called_the_worst() -> None:
    alike = answer_of(swept(point(1, 50, "refuted"), point(3, 50, "refuted")))
    assert (
        alike.advice[-1] == "No difference between points in how many messages fail; the first world of the first one:"
    )
    tied = answer_of(swept(point(1, 50, "refuted"), point(2, 50, "refuted"), point(3, 20, "refuted")))
    assert tied.advice[-1] == "The first of the points where most messages fail, in its first world:"
    assert tied.found[0] == (
        "Failed, of all messages: 20 of 100 (20.00 %) at attempts 3, up to 50 of 100 (50.00 %) at attempts 1 and 1 more "
        "point alike."
    )
    one = answer_of(swept(point(1, 50, "refuted"), point(3, 20, "refuted")))
    assert one.advice[-1] == "The point where most messages fail, in its first world:"


def test_claims_have_columns_by_the_numbers_of_their_sentences() -> None:
    answer = answer_of(swept(point(1, 50, "refuted", "verified"), point(3, 20, "refuted", "verified")))
    assert answer.table.heads[2:] == ("claim 1", "claim 2")
    assert [each.partition(":")[0] for each in answer.found[1:]] == ["Claim 1, “claim 0”", "Claim 2, “claim 1”"]


def swept(*points: dict[str, Any]) -> dict[str, Any]:
    values = [each["values"]["relay.settings.attempts"] for each in points]
    return {
        "kind": "sweep",
        "scenario": "small",
        "axes": [{"path": "relay.settings.attempts", "values": values}],
        "points": list(points),
    }


def test_the_best_point_is_that_with_most_claims_and_then_with_fewest_failures() -> None:
    answer = answer_of(swept(point(1, 30, "refuted"), point(2, 9, "verified"), point(3, 5, "verified")))
    assert answer.status == "all hold somewhere"
    assert answer.title == "The claim holds at 2 of 3 points; best attempts 3; 5.00 % of messages fail there"
    assert answer.found[0] == (
        "Failed, of all messages: 5 of 100 (5.00 %) at attempts 3, up to 30 of 100 (30.00 %) at attempts 1."
    )
    assert answer.commands == ["relaysim replay small --seed 0 --set relay.settings.attempts=1"]
    assert_fits(answer)


def test_points_stand_in_order_and_verdicts_are_counted_among_them() -> None:
    answer = answer_of(swept(point(10, 5, "verified"), point(2, 9, "inconclusive"), point(3, 30, "verified")))
    assert answer.found[1] == "Claim 1, “claim 0”: verified at 2 of 3 points, inconclusive at 1."
    (group,) = answer.table.groups
    assert [line.cells[0] for line in group.lines] == ["2", "3", "10"]
    many = answer_of(swept(*(point(at, 40 - at, "refuted") for at in (20, *range(1, 12)))))
    best, every = many.table.groups
    assert [line.cells[0] for line in best.lines] == ["20"]
    assert [line.cells[0] for line in every.lines] == [str(at) for at in (*range(1, 12), 20)]
    assert_fits(many)


def test_a_path_is_said_in_plain_words() -> None:
    found = swept(point(1, 5, "verified"), point(2, 9, "verified"))
    path = "workload.messages[1].at_seconds"
    found["axes"][0]["path"] = path
    for each in found["points"]:
        each["values"] = {path: each["values"].popitem()[1]}
    answer = answer_of(found)
    assert (
        answer.title == "The claim holds at 2 of 2 points; best message 2 at seconds 1; 5.00 % of messages fail there"
    )
    assert answer.table.heads[0] == "message 2 at seconds"


def test_no_point_keeps_every_claim() -> None:
    answer = answer_of(swept(point(1, 30, "refuted", "verified"), point(2, 20, "refuted", "refuted")))
    assert answer.status == "none holds all"
    assert answer.title == (
        "No point of 2 keeps every claim; fewest messages fail at attempts 2: 20.00 %; 2 of 2 claims refuted there"
    )
    assert answer.advice[0].startswith("Take none of these points")
    undecided = answer_of(swept(point(1, 20, "inconclusive", "verified"), point(2, 20, "refuted", "refuted")))
    assert (
        undecided.title
        == "No point of 2 keeps every claim; at each 20.00 % of messages fail; 0 of 2 claims refuted there"
    )
    assert undecided.advice[0] == (
        "Decide what is open at attempts 1, where nothing is refuted, with more --replications."
    )
    assert answer_of(swept(point(1, 30), point(2, 20))).status == "nothing judged"


# fit


def fitted(ended: int, met: int, alone: int = 0) -> dict[str, Any]:
    ending = {
        "ending": "recovered_at_2",
        "count": ended,
        "n": ended,
        "observed": 1.0,
        "interval": [0.9, 1.0],
        "profile": None,
    }
    return {
        "kind": "fit",
        "base": "typical",
        "claims": [],
        "untold": [{"id": "x", "why": "y"}],
        "numbers": [{"number": "cancel_seconds", "status": "kept", "said": "nothing"}],
        "log": {"relay_lines": {"x": 3}, "lines": 9}
        | dict.fromkeys(("not_utf8", "nul", "too_long", "unfinished", "broken_off", "broken_events"), 0),
        "conflicts": {
            "ended": ended,
            "met": met,
            "joined": ended,
            "refused_alone": alone,
            "endings": [ending] if ended else [],
            "waits_from_log": True,
            "attempts_seen": {},
            "early": 0,
            "drained": 0,
        },
    }


def told(identifier: str, verdict: str) -> dict[str, Any]:
    """A claim that a log tells."""
    return {
        "id": identifier,
        "title": f"claim {identifier}",
        "kind": "between",
        "event": "recovered_at_2",
        "among": "met_active_run",
        "verdict": verdict,
        "count": 11,
        "n": 12,
        "interval": [0.5, 1.0],
        "limit": [0.89, 0.91],
    }


def test_what_a_log_leaves_open_is_said_beside_what_it_refutes() -> None:
    found = fitted(12, 12)
    found["claims"] = [
        told("a", "inconclusive"),
        told("b", "verified"),
        told("c", "refuted"),
        told("d", "inconclusive"),
    ]
    answer = answer_of(found)
    assert answer.status == "refuted"
    assert answer.title.endswith("(claimed 90 %); of 4 claims 1 refuted, 2 not decided")
    assert answer.found[0].endswith("; 2 not decided, 1 verified.")
    first, _ = answer.table.groups
    assert [line.cells[-1] for line in first.lines] == ["refuted", "inconclusive", "inconclusive", "verified"]
    assert_fits(answer)


@pytest.mark.parametrize("path", ["out/profile.toml", "my fits/profile.toml", None])
def test_the_line_that_judges_under_the_profile_is_whole(path: str | None) -> None:
    found = fitted(12, 12)
    found["numbers"] = [{"number": "cancel_seconds", "status": "fitted", "said": "nothing"}]
    if path is not None:
        found["profile_file"] = path
    (command,) = answer_of(found).commands
    setting = shlex.split(command)[-1]
    assert shlex.split(command)[:4] == ["relaysim", "verify", "incident_typical", "--set"]
    assert setting == f"profile={path or 'profile.toml'}"


@pytest.mark.parametrize(
    ("ended", "met", "alone", "title"),
    [
        (12, 12, 0, "Of 12 conflicts in the log 100 % recovered at attempt 2 (claimed 90 %)"),
        (0, 7, 0, "The log tells no ending of 7 conflicts"),
        (0, 0, 0, "The log tells of no conflict"),
    ],
)
def test_a_log_is_titled_by_how_conflicts_ended(ended: int, met: int, alone: int, title: str) -> None:
    answer = answer_of(fitted(ended, met, alone))
    assert answer.title == title
    assert answer.status == "nothing told"
    assert answer.advice[0].startswith("Give more of the log")
    assert_fits(answer)
