"""Goal: whoever reads the first sentence only knows what was found, and no number flatters.

Method: invented results of `verify`, one for each branch of its answer, and drawn ones, of which the worst refuted claim and
every share are worked out here once more.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.reports.answer_terminal import COLUMNS, LINES, screen
from relaysim.reports.answers import Answer, answer_of, with_answer
from relaysim.reports.answers.numbers import rate_words, share_words
from relaysim.reports.answers.severity import Totals, severity, worst_refuted
from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.exit_codes import exit_status
from relaysim.reports.results import build_results, claims_of
from relaysim.reports.verify_page import verify_html

REPLAY = "relaysim replay small --seed {seed}"
EVENTS = ("failed", "succeeded", "lost", "transparency_breaches", "recovered_at_2", "wait_seconds")


def claim(identifier: str, kind: Any, event: str, count: int, n: int, **rest: Any) -> dict[str, Any]:
    spec = ClaimSpec(id=identifier, title=f"title of {identifier}", kind=kind, event=event, among="messages", **rest)
    tally = Tally()
    for at in range(n):
        happened = at < count
        example = {"seed": at, "fingerprint": "", "detail": {"text": "it went wrong"}} if happened else None
        tally.add(int(happened), 1, example)
    return judge(spec, tally, replay=REPLAY)


def scenario(
    name: str, claims: list[dict[str, Any]], *, failed: int = 0, lost: int = 0, messages: int = 100, **rest: Any
) -> dict[str, Any]:
    return {
        "scenario": name,
        "title": f"The scenario {name}",
        "factory": "relaysim.relay:cancel_and_retry",
        "profile": "typical",
        "lane": "direct",
        "replications": 60,
        "claims": claims,
        "invariants": {},
        "outcomes": {"messages": messages, "failed": failed, "lost": lost, "succeeded": messages - failed},
        "counts": {"met_active_run": 3},
        "latency": {},
        **rest,
    }


def results(*scenarios: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return build_results("v", list(scenarios), **extra)


def lines_of(answer: Answer) -> list[str]:
    return [text for text, _ in screen(answer)]


GOOD = claim("kept", "never", "lost", 0, 400)
BAD = claim("broken", "below", "failed", 40, 400, limit=0.01)
OPEN = claim("open", "below", "failed", 10, 100, limit=0.11)
FEW = claim("few", "never", "lost", 0, 3)


# verify


def test_all_verified_is_said_with_how_little_is_known_and_what_failed_all_the_same() -> None:
    answer = answer_of(results(scenario("small", [GOOD], failed=5, lost=2)))
    assert (answer.status, answer.tone) == ("verified", "good")
    assert answer.title == "The claim holds in 60 worlds: title of kept"
    assert "0 times in 400 messages of small, so not more than 1.14 % at 99 % confidence" in answer.found[0]
    assert answer.found[1] == (
        "Of all messages 5 of 100 (5.00 %) ended in an apology or without an answer; to 2 nothing ever answered."
    )


def test_nothing_is_to_be_done_only_where_a_claim_counts_what_failed() -> None:
    counted = claim("few-fail", "below", "failed", 5, 400, limit=0.5)
    nothing = answer_of(results(scenario("small", [GOOD, counted], failed=5))).advice
    assert nothing[0].startswith("Nothing, as far as these claims go")
    assert answer_of(results(scenario("small", [GOOD]))).advice == nothing
    assert answer_of(results(scenario("small", [GOOD], failed=5, strategy="portfolio"))).advice == nothing
    (uncounted,) = answer_of(results(scenario("small", [GOOD], failed=10, lost=2))).advice
    assert uncounted == (
        "Judge what no claim counts here: 10 of 100 (10.00 %) in small ended in an apology or without an answer. A claim "
        "about `failed` says how many may (docs/scenarios.md); `relaysim run` finds such a message, `relaysim replay` tells "
        "of it."
    )


def test_what_is_not_judged_says_whose_claims_those_are() -> None:
    transparent = claim("transparent", "never", "transparency_breaches", 0, 400)
    (unjudged, _) = answer_of(results(scenario("small", [transparent]))).table.groups
    assert unjudged.title == "· Not judged: 10 claims of the incident, which other scenarios judge"
    assert len(unjudged.lines) == 10


def test_one_refuted_claim_is_the_title_with_what_it_says_and_what_was_counted() -> None:
    answer = answer_of(results(scenario("small", [GOOD, BAD], failed=5)))
    assert answer.status == "refuted"
    assert answer.title == "Refuted: “title of broken”: 10.00 % (40 of 400 messages), where it says less than 1 %"
    assert answer.commands == ["relaysim replay small --seed 0 --claim broken"]
    assert [group.title for group in answer.table.groups] == ["✘ Refuted: 1 of 2", "✔ Verified: 1 of 2"]


def test_what_is_open_says_how_many_more_worlds_would_do() -> None:
    answer = answer_of(results(scenario("small", [OPEN, FEW])))
    assert answer.status == "inconclusive"
    assert answer.title == "Not decided: 2 of 2 claims; none is refuted by 60 worlds"
    needed = max(OPEN["needed_replications"], FEW["needed_replications"])
    assert answer.advice == [f"{needed - 100:,} more worlds would do in small: --replications {needed}."]


def test_what_was_never_met_is_not_a_matter_of_more_worlds() -> None:
    answer = answer_of(results(scenario("small", [claim("unmet", "never", "lost", 0, 0)])))
    assert answer.status == "inconclusive"
    assert "never met" in answer.found[0]
    assert answer.advice == ["What was never met, more worlds do not show: give it a scenario in which it happens."]


def test_without_a_claim_nothing_was_judged() -> None:
    assert answer_of(results(scenario("small", []))).title == "No claim was judged"


def test_two_worlds_of_one_seed_leave_nothing_to_say() -> None:
    parting = {"scenario": "small", "seed": 3, "text": "at event 7", "next": "relaysim doctor small"}
    for extra in ({}, {"factory": "bot:make"}):
        answer = answer_of(results(scenario("small", [GOOD]), not_deterministic=[parting], **extra))
        assert answer.status == "not deterministic"
        assert answer.commands == ["relaysim doctor small"]


def relays(**shares: int) -> dict[str, Any]:
    """The fix, what was before it, and drain in the same worlds; each with a claim about failures."""
    factories = {"fix": "cancel_and_retry", "before": "check_then_act", "drain": "drain"}
    return results(
        *(
            scenario(
                f"peak_{name}" if name != "fix" else "peak",
                [claim(f"rate-{name}", "below", "failed", failed, 1000, limit=0.001)],
                failed=failed,
                messages=1000,
                factory=f"relaysim.relay:{factories[name]}",
                worlds="w1",
            )
            for name, failed in shares.items()
        )
    )


def test_relays_in_the_same_worlds_stand_side_by_side_in_the_title() -> None:
    answer = answer_of(relays(before=119, fix=115, drain=15))
    assert answer.title == (
        "In peak the fix leaves 11.50 % of messages without their answer (before the fix 11.90 %, drain 1.50 %)"
    )
    assert answer.advice[0] == "Take drain in place of the fix (docs/drain.md): their intervals lie apart."
    assert [(each.who, each.count, each.among) for each in answer.figures] == [
        ("the fix", 115, 1000),
        ("before the fix", 119, 1000),
        ("drain", 15, 1000),
    ]


def test_the_line_to_replay_is_that_of_the_finding_and_not_of_a_variants_worst_case() -> None:
    found = relays(before=119, fix=115, drain=15)
    worst = claim("worst", "never", "transparency_breaches", 400, 400)
    found["scenarios"].append(scenario("peak_variant", [worst], variant="one key"))
    found["scenarios"][1]["claims"][0]["examples"][0]["replay"] = "relaysim replay peak --seed 3 --claim rate-fix"
    answer = answer_of(found)
    assert answer.title.startswith("In peak the fix leaves 11.50 % of messages")
    assert answer.advice[-1] == "See a message fail under the fix:"
    assert answer.commands == ["relaysim replay peak --seed 3 --claim rate-fix"]


def test_a_claim_that_only_a_variant_refutes_is_not_listed_as_refuted() -> None:
    broken = claim("kept", "never", "lost", 300, 400)
    found = results(scenario("small", [GOOD, BAD]), scenario("small_variant", [broken], variant="other key"))
    answer = answer_of(found)
    assert answer.title == (
        "Refuted: “title of broken”: 10.00 % (40 of 400 messages), where it says less than 1 %, in small"
    )
    assert answer.commands == ["relaysim replay small --seed 0 --claim broken"]
    assert answer.found[-1].startswith(
        "Refuted: 1 of 2 claims, 1 more under one variant only; the worst: “title of broken”"
    )
    groups = {group.title: [line.cells for line in group.lines] for group in answer.table.groups}
    assert groups == {
        "✘ Refuted: 1 of 2": [("title of broken", "10.00 % of 400 (small)")],
        "✘ Refuted in one variant, verified in another: 1 of 2": [("title of kept", "300 of 400 (other key)")],
    }
    alone = answer_of(results(scenario("small", [GOOD]), scenario("small_variant", [broken], variant="other key")))
    assert alone.title == "Refuted: “title of kept”: 300 times in 400 messages, in small_variant"
    assert alone.commands == ["relaysim replay small --seed 0 --claim kept"]


def test_a_relay_that_is_not_shown_to_fail_less_is_not_advised() -> None:
    answer = answer_of(relays(fix=115, drain=110))
    assert answer.advice[0].startswith(
        "Try drain (docs/drain.md): it failed least here, though after 60 worlds the intervals still meet"
    )
    assert not any(each.startswith("Take") for each in answer_of(relays(fix=50, drain=70)).advice)


def test_relays_in_other_worlds_and_drawn_ones_are_not_compared() -> None:
    found = relays(fix=115, drain=15)
    found["scenarios"][1]["worlds"] = "w2"
    assert answer_of(found).title.startswith("Refuted: “title of rate-fix”")
    found = relays(fix=115, drain=15)
    found["scenarios"][1]["strategy"] = "pct"
    assert answer_of(found).title.startswith("Refuted: “title of rate-fix”")


def test_whether_a_verdict_was_expected_is_said_once_and_last() -> None:
    surprising = {**BAD, "expected": "verified"}
    answer = answer_of(results(scenario("small", [GOOD, surprising])))
    lines = lines_of(answer)
    assert lines[-1] == "Gate: 1 of 2 verdicts not as expected: broken in small is refuted, not verified."
    page = verify_html(results(scenario("small", [GOOD, surprising])))
    assert sum("expected" in line for line in lines) == 1
    assert page.count("as expected") == 1
    expected = results(scenario("small", [{**BAD, "expected": "refuted"}]))
    assert (
        lines_of(answer_of(expected))[-1]
        == "Gate: the one verdict is what the scenarios expect; the answer above stays."
    )


@pytest.mark.parametrize(
    ("count", "hit", "told", "cell"),
    [
        (45, 40, "40 of 100 messages, 45 times", "40 of 100, 45 times"),
        (150, 90, "90 of 100 messages, 150 times", "90 of 100, 150 times"),
        (40, 40, "40 of 100 messages", "40 of 100"),
        (45, 0, "45 times in 100 messages", "45 times in 100"),
    ],
)
def test_a_share_counts_messages_and_not_what_befell_them(count: int, hit: int, told: str, cell: str) -> None:
    """Results from before messages were counted have no such number, and then no share."""
    spec = ClaimSpec(id="seen", title="seen", kind="never", event="transparency_breaches", among="messages")
    tally = Tally()
    tally.add(count, 100, {"seed": 0, "fingerprint": "", "detail": {"text": "it went wrong"}})
    broken = {**judge(spec, tally, replay=REPLAY), "messages_hit": hit}
    answer = answer_of(results(scenario("small", [broken])))
    assert answer.title == f"Refuted: “seen”: {told}"
    assert answer.table.groups[0].lines[0].cells[1].startswith(cell)
    shares = [each for each in _texts(answer) if "45 of 100" in each or "150 of 100" in each]
    assert not shares


@pytest.mark.parametrize("event", ["duplicate_reply", "out_of_order", "wrong_conversation", "breach_S13"])
def test_replies_and_breaches_are_no_share_of_messages(event: str) -> None:
    broken = claim("twice", "never", event, 9, 100)
    assert answer_of(results(scenario("small", [broken]))).table.groups[0].lines[0].cells[1] == "9 times in 100"


def test_of_few_trials_no_percentage_is_told() -> None:
    few = claim("few", "below", "failed", 1, 9, limit=0.001)
    enough = claim("enough", "below", "failed", 1, 10, limit=0.001)
    (one,), (other,) = (
        [
            line.cells[1]
            for group in answer_of(results(scenario("small", [each]))).table.groups
            for line in group.lines
            if line.cells[1]
        ]
        for each in (few, enough)
    )
    assert (one, other) == ("1 of 9", "10.00 % of 10")
    assert (share_words(1, 1), rate_words(1, 1)) == ("1 of 1", "1 of 1")
    assert (share_words(1, 10), rate_words(1, 10)) == ("1 of 10 (10.00 %)", "10.00 %")


# A relay of one's own


def own(*scenarios: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return results(
        *scenarios, factory="bot:make", waits=[], details=["more"], explore="relaysim explore small", **extra
    )


def test_an_unsafe_relay_says_what_customers_lose_first_and_fails() -> None:
    seen = claim("transparent", "never", "transparency_breaches", 9, 100)
    found = own(scenario("small", [GOOD, seen], failed=9, lost=4, counts={"out_of_order": 5}))
    answer = answer_of(found)
    assert answer.status == "unsafe"
    assert answer.title == "Is bot:make safe? No: 4 of 100 messages without an answer (in small)"
    assert "5 replies sent after a reply to a later message" in answer.found[0]
    assert answer.commands == ["relaysim replay small --seed 0 --claim transparent"]
    assert exit_status(found) == 1
    assert not answer.gate


def test_a_gate_does_not_pass_over_what_no_claim_expects() -> None:
    known = {**BAD, "expected": "refuted"}
    passed, kept = own(scenario("small", [known])), own(scenario("small", [known], counts={"out_of_order": 5}))
    assert answer_of(passed).gate == "Gate: the one verdict is what the scenarios expect; the answer above stays."
    assert exit_status(passed) == 0
    assert answer_of(kept).gate == "Gate: not passed; no claim expects what customers meet in small."
    assert exit_status(kept) == 1


def test_what_harms_most_messages_is_named_before_what_is_most_of_a_few() -> None:
    few, many = (claim("transparent", "never", "transparency_breaches", *counts) for counts in ((1, 2), (30, 120)))
    found = own(
        scenario("small", [few], failed=1, lost=1, messages=2),
        scenario("large", [many], failed=30, lost=0, messages=120, counts={"out_of_order": 30}),
    )
    answer = answer_of(found)
    assert answer.title == "Is bot:make safe? No: 30 replies sent after a reply to a later message (in large)"
    assert answer.table.groups[0].lines[0].cells == ("title of transparent", "30 times in 120 in large")
    cheap = claim("cheap", "never", "over_cost", 120, 120)
    dear = own(scenario("small", [few], failed=1, lost=1, messages=2), scenario("large", [cheap], messages=120))
    assert answer_of(dear).title == "Is bot:make safe? No: 1 of 2 messages without an answer (in small)"


def test_what_strangers_got_to_read_comes_first_however_many_messages_lack_an_answer() -> None:
    lost, leaked = (claim("transparent", "never", "transparency_breaches", *counts) for counts in ((90, 100), (3, 400)))
    answer = answer_of(
        own(
            scenario("lossy", [lost], failed=90, lost=90),
            scenario("leaky", [leaked], failed=2, lost=2, messages=400, counts={"wrong_conversation": 1}),
        )
    )
    assert answer.title == (
        "Is bot:make safe? No: 1 reply sent to another conversation; 2 of 400 messages without an answer (in leaky)"
    )
    assert answer.found[0].startswith("In leaky, ")
    assert answer.commands == ["relaysim replay small --seed 0 --claim transparent"]


def test_a_relay_that_was_not_judged_has_no_share_of_messages_without_an_answer() -> None:
    obstacle = {"kind": "raised", "what": "raised", "text": "its handle raised KeyError at bot.py:3"}
    assert not answer_of(own(scenario("small", [FEW], lost=0, obstacles=[obstacle]))).figures


def test_losses_without_a_claim_come_before_a_claim_about_costs() -> None:
    cheap = claim("cheap", "never", "over_cost", 120, 120)
    answer = answer_of(own(scenario("small", [cheap]), scenario("large", [], failed=30, lost=30)))
    assert answer.title == "Is bot:make safe? No: 30 of 100 messages without an answer (in large)"


def test_lost_messages_that_no_claim_judges_are_no_pass() -> None:
    harmless = claim("cheap", "never", "over_cost", 0, 400)
    found = own(scenario("small", [harmless], failed=9, lost=4))
    answer = answer_of(found)
    assert answer.status == "unsafe"
    assert answer.title == "Is bot:make safe? No: 4 of 100 messages without an answer (in small)"
    assert "small has no claim about lost messages, and 4 of 100 (4.00 %) got nothing." in answer.found
    assert exit_status(found) == 1


def test_what_holds_under_one_hash_seed_alone_is_not_shown_to_be_safe() -> None:
    """A lock under a key from hash() holds where all workers have one seed, and in no production."""
    parting = {"scenario": "small", "seed": 0, "hash_seed": 0, "next": "relaysim doctor small"}
    for verdict, status, code in ((GOOD, "not shown", 3), (BAD, "unsafe", 1)):
        found = {**own(scenario("small", [verdict])), "hash_order": [parting]}
        answer = answer_of(found)
        assert (answer.status, exit_status(found)) == (status, code)
        assert "All this holds under PYTHONHASHSEED=0 alone" in answer.found[0]
    shown = answer_of({**own(scenario("small", [GOOD])), "hash_order": [parting]})
    assert any("take no key from hash()" in each for each in shown.advice)


def test_a_safe_relay_is_safe_as_far_as_these_worlds_show() -> None:
    answer = answer_of(own(scenario("small", [GOOD])))
    assert answer.title == (
        "Is bot:make safe? Yes, as far as 60 worlds can show: a claim breaks in at most 1.14 % of messages"
    )
    assert any("not more than 1.14 % at 99 % confidence" in each for each in answer.found)
    assert answer.commands == ["relaysim explore small"]
    assert exit_status(own(scenario("small", [GOOD]))) == 0


def test_too_few_worlds_show_nothing_of_a_relay() -> None:
    found = own(scenario("small", [GOOD, FEW]))
    answer = answer_of(found)
    assert answer.status == "not shown"
    assert answer.title.startswith("Is bot:make safe? That is not shown by 60 worlds: nothing refutes it, but 1 of 2")
    assert "7 would" in " ".join(answer.found)
    assert exit_status(found) == 3


def test_what_kept_a_relay_from_running_is_not_held_against_it() -> None:
    kept = {**FEW, "reason": "kept from being judged"}
    obstacle = {"kind": "raised", "what": "raised", "text": "its handle raised KeyError at bot.py:3"}
    found = own(scenario("small", [kept], lost=100, failed=100, obstacles=[obstacle]))
    answer = answer_of(found)
    assert answer.status == "not judged"
    assert "bot.py:3" in answer.found[0]
    assert exit_status(found) == 3


# What holds of any results

_counts = st.integers(0, 60)


@st.composite
def _claims(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["below", "above", "between", "never", "absent"]))
    n, identifier = draw(_counts), f"c{draw(st.integers(0, 5))}"
    count = draw(_counts) if kind in ("never", "absent") else draw(st.integers(0, n))
    limits: dict[str, float] = {"limit": draw(st.floats(0.01, 0.99))} if kind in ("below", "above") else {}
    limits |= {"target": 0.5, "margin": draw(st.floats(0.01, 0.4))} if kind == "between" else {}
    spec = ClaimSpec(
        id=identifier,
        title=f"title of {identifier}",
        kind=kind,
        event=draw(st.sampled_from(EVENTS)),
        among="messages",
        **limits,
    )
    tally = Tally()
    tally.add(count, n, {"seed": 0, "fingerprint": "", "detail": {}})
    return judge(spec, tally, replay=REPLAY)


@st.composite
def _scenarios(draw: st.DrawFn) -> dict[str, Any]:
    messages = draw(_counts)
    failed = draw(st.integers(0, messages))
    name, factory = draw(st.sampled_from(["one", "two", "three"])), draw(st.sampled_from(["drain", "cancel_and_retry"]))
    return scenario(
        name,
        draw(st.lists(_claims(), max_size=4)),
        failed=failed,
        lost=draw(st.integers(0, failed)),
        messages=messages,
        factory=f"relaysim.relay:{factory}",
        worlds=draw(st.sampled_from(["w1", "w2"])),
    )


_drawn = st.builds(
    lambda scenarios, factory: results(*scenarios, **factory),
    st.lists(_scenarios(), min_size=1, max_size=4),
    st.sampled_from([{}, {"factory": "bot:make"}]),
)


def _texts(answer: Answer) -> list[str]:
    cells = [cell for group in answer.table.groups for line in group.lines for cell in line.cells]
    return [answer.title, *answer.found, *answer.advice, *cells, *lines_of(answer)]


@given(_drawn)
def test_no_rate_exceeds_100_percent(found: dict[str, Any]) -> None:
    answer = answer_of(found)
    for text in _texts(answer):
        assert all(float(each) <= 100 for each in re.findall(r"(\d+(?:\.\d+)?) %", text)), text
    assert all(each.value is None or 0 <= each.value <= 1 for each in answer.figures if each.unit == "share")
    for _, each in claims_of(found):
        assert each["observed"] is None or each["observed"] <= 1
        assert each["interval"][1] <= 1


@given(_drawn)
def test_the_answer_names_the_worst_refuted_claim(found: dict[str, Any]) -> None:
    refuted = [each for _, each in claims_of(found) if each["verdict"] == "refuted"]
    worst = worst_refuted(claims_of(found))
    assert (worst is None) == (not refuted)
    if worst is None:
        return
    totals = Totals.of(scenario for scenario, _ in claims_of(found))  # those that judge anything
    assert all(severity(each, totals) <= severity(worst[1], totals) for each in refuted)
    answer = answer_of(found)
    assert answer.tone == "bad"
    assert worst[1]["title"] in " ".join([answer.title, *answer.found, *answer.advice])


@given(_drawn)
def test_an_answer_is_the_same_each_time_and_fits_its_screen(found: dict[str, Any]) -> None:
    answer = answer_of(found)
    assert answer_of(found) == answer
    assert with_answer(found)["answer"] == answer.to_dict()
    assert answer_of(with_answer(found)) == answer
    lines = lines_of(answer)
    wide = [line for line in lines if len(line) > COLUMNS]
    assert all(line.strip() in answer.commands for line in wide)
    assert len(lines) <= LINES + len(wide)


@pytest.mark.parametrize("status", ["refuted", "verified"])
def test_a_claim_about_what_customers_feel_is_worse_than_any_other(status: str) -> None:
    felt = claim("felt", "below", "failed", 2, 100, limit=0.001)
    other = claim("other", "below", "over_cost", 100, 100, limit=0.001)
    assert severity({**felt, "verdict": status}) > severity({**other, "verdict": status})
