"""Goal: a verdict says what the trials show, at both edges of every gate, and never more.

Method: the gate table at its exact counts; properties that tie verdict, interval and limit together; tallies merged in
every order; observations that must and must not offend.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.reports.claims import ClaimSpec, Tally, UnknownEventError, judge, measure, rate

N = 40_000
FIRST = ClaimSpec(
    id="first-retry",
    title="90 % recover on the first retry",
    kind="between",
    event="recovered_at_2",
    among="met_active_run",
    target=0.90,
    margin=0.01,
    alpha_share=1 / 3,
)


def spec(kind: Any, **rest: Any) -> ClaimSpec:
    return ClaimSpec(**{"id": "c", "title": "t", "kind": kind, "event": "failed", "among": "messages", **rest})


def independent(count: int, n: int) -> Tally:
    return Tally.of_single_trials(count, n)


def between(target: float, margin: float) -> ClaimSpec:
    return spec("between", target=target, margin=margin, alpha_share=1 / 3)


@pytest.mark.parametrize(
    ("claim", "least", "most"),
    [
        pytest.param(between(0.90, 0.01), 35_784, 36_230, id="90"),
        pytest.param(between(0.09, 0.01), 3_361, 3_824, id="9"),
        pytest.param(between(0.01, 0.005), 244, 529, id="1"),
        pytest.param(spec("below", limit=0.001), 0, 25, id="below-0.1"),
        pytest.param(spec("above", limit=0.99), N - 353, N, id="above-99"),
    ],
)
def test_the_gate_passes_exactly_these_counts(claim: ClaimSpec, least: int, most: int) -> None:
    for count, passes in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
        if 0 <= count <= N:
            verdict = judge(claim, independent(count, N))["verdict"]
            assert (verdict == "verified") is passes, (count, verdict)


def test_a_rounded_third_of_alpha_gives_the_same_gate() -> None:
    claim = spec("between", target=0.90, margin=0.01, alpha_share=0.333333)
    verdicts = [judge(claim, independent(count, N))["verdict"] for count in (35_783, 35_784, 36_230, 36_231)]
    assert verdicts == ["inconclusive", "verified", "verified", "inconclusive"]


def test_a_claim_is_refuted_only_from_outside() -> None:
    assert judge(between(0.90, 0.01), independent(35_000, N))["verdict"] == "refuted"
    assert judge(between(0.90, 0.01), independent(36_900, N))["verdict"] == "refuted"
    assert judge(spec("below", limit=0.001), independent(60, N))["verdict"] == "refuted"
    assert judge(spec("below", limit=0.001), independent(40, N))["verdict"] == "inconclusive"
    assert judge(spec("above", limit=0.99), independent(N - 480, N))["verdict"] == "refuted"


def test_an_inconclusive_claim_says_how_many_trials_would_decide() -> None:
    entry = judge(spec("below", limit=0.001), independent(30, N))
    assert entry["verdict"] == "inconclusive"
    rate_seen, needed = 30 / N, entry["needed"]
    assert needed > N
    assert judge(spec("below", limit=0.001), independent(int(rate_seen * needed), needed))["verdict"] == "verified"
    assert f"{needed:,} trials" in entry["why"]


def test_no_number_decides_a_rate_on_the_limit() -> None:
    entry = judge(spec("above", limit=0.99), independent(9_900, 10_000))
    assert entry["verdict"] == "inconclusive"
    assert "needed" not in entry
    assert "no number of trials" in entry["why"]


@given(
    st.sampled_from([between(0.9, 0.01), between(0.5, 0.2), spec("below", limit=0.3), spec("above", limit=0.6)]),
    st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
def test_verdict_interval_and_limit_agree(claim: ClaimSpec, counted: tuple[int, int]) -> None:
    entry = judge(claim, independent(*counted))
    (low, high), (floor, ceiling) = entry["interval"], entry["limit"]
    assert low <= entry["observed"] <= high
    if entry["verdict"] == "verified":
        assert floor <= low
        assert high <= ceiling
    elif entry["verdict"] == "refuted":
        assert high <= floor or low >= ceiling
    else:
        assert low < floor < high or low < ceiling < high


def test_never_is_refuted_by_one_and_bounded_by_none() -> None:
    entry = judge(spec("never"), independent(1, N))
    assert (entry["verdict"], entry["limit"]) == ("refuted", [0.0, 0.0])
    open_one = judge(spec("absent"), independent(1, N))
    assert (open_one["verdict"], open_one["reason"]) == ("inconclusive", "cannot be known")
    assert "needed" not in open_one
    assert judge(spec("absent"), independent(0, N))["verdict"] == "verified"
    entry = judge(spec("never"), independent(0, N))
    assert entry["verdict"] == "verified"
    assert entry["interval"] == [0.0, round(1 - 0.01 ** (1 / N), 12)]


@pytest.mark.parametrize("kind", ["never", "absent", "exact"])
@pytest.mark.parametrize(
    ("worlds", "without_trials", "share", "needed"),
    [(1, 0, 1.0, 7), (6, 0, 1.0, 7), (7, 0, 1.0, None), (9, 0, 0.1, 10), (10, 0, 0.1, None), (3, 3, 1.0, 14)],
)
def test_too_few_replications_show_no_never(
    kind: str, worlds: int, without_trials: int, share: float, needed: int | None
) -> None:
    """Seven worlds without an event that half of all worlds have are one case in 128, and six are one in 64."""
    claim = spec(kind, alpha_share=share, value=2.0 if kind == "exact" else None)
    tally = Tally({(20 if kind == "exact" else 0, 20): worlds, (0, 0): without_trials})
    entry = judge(claim, tally)
    assert entry["verdict"] == ("verified" if needed is None else "inconclusive")
    assert entry.get("needed_replications") == needed
    assert entry.get("needed") == (None if needed is None else round(needed * 20 * worlds / (worlds + without_trials)))
    assert judge(replace(claim, of_one_world=True), tally)["verdict"] == "verified"
    if needed is not None:
        assert str(entry["why"]).endswith(
            f"half of them; {needed} would" if kind != "exact" else f"are so; {needed} would"
        )


def test_never_may_happen_more_often_than_there_are_trials() -> None:
    tally = Tally()
    tally.add(3, 2)
    assert judge(spec("never"), tally)["verdict"] == "refuted"
    with pytest.raises(ValueError, match="only 2 trials"):
        judge(spec("below", limit=0.5), tally)


def test_exact_is_refuted_by_one_value() -> None:
    claim = spec("exact", event="wait_seconds", value=2.0)
    tally = Tally()
    for seed in range(50):
        tally.observe(claim, {"seed": seed, "counts": {}, "series": {"wait_seconds": [2.0, 2.0]}})
    assert judge(claim, tally)["verdict"] == "verified"
    assert judge(claim, tally)["values"] == [2.0, 2.0]
    assert tally.observe(claim, {"seed": 50, "fingerprint": "f", "counts": {}, "series": {"wait_seconds": [2.0, 6.0]}})
    entry = judge(claim, tally, replay="relaysim replay race --seed {seed}")
    assert (entry["verdict"], entry["count"], entry["n"], entry["values"]) == ("refuted", 101, 102, [2.0, 6.0])
    assert entry["examples"] == [
        {
            "seed": 50,
            "fingerprint": "f",
            "detail": {"text": "wait_seconds was 6, not 2"},
            "replay": "relaysim replay race --seed 50 --claim c",
        }
    ]


@pytest.mark.parametrize(
    "claim",
    [
        between(0.9, 0.01),
        spec("below", limit=0.1),
        spec("above", limit=0.9),
        spec("never"),
        spec("exact", event="wait_seconds", value=2.0),
    ],
    ids=lambda claim: claim.kind,
)
def test_what_was_never_met_is_inconclusive(claim: ClaimSpec) -> None:
    tally = Tally()
    for seed in range(400):
        tally.observe(claim, {"seed": seed, "counts": {"failed": 0, "messages": 0}, "series": {}})
    entry = judge(claim, tally)
    assert (entry["verdict"], entry["reason"], entry["observed"]) == ("inconclusive", "never met", None)
    assert not entry["as_expected"]


def test_messages_of_one_replication_are_clusters() -> None:
    clustered, scattered = Tally(), Tally()
    for seed in range(200):
        clustered.add(10 if seed % 20 == 0 else 0, 10)
        scattered.add(int(seed % 2 == 0), 10)
    claim = spec("below", limit=0.08, trials_max=10)
    assert (clustered.count, clustered.n) == (scattered.count, scattered.n)
    apart, together = judge(claim, scattered), judge(claim, clustered)
    assert apart["verdict"] == "verified"
    assert together["verdict"] == "inconclusive"
    assert together["n_effective"] == pytest.approx(together["n"] / together["deff"])
    assert together["deff"] > 9
    assert together["trials_max"] == 10
    times = -(-together["needed_replications"] // 200)
    assert together["needed"] == 10 * together["needed_replications"] > 2000
    more = Tally({kind: number * times for kind, number in clustered.worlds.items()})
    assert judge(claim, more)["verdict"] == "verified"
    fewer = Tally({kind: number * (times - 1) for kind, number in clustered.worlds.items()})
    assert judge(claim, fewer)["verdict"] == "inconclusive"


@pytest.mark.parametrize(("claim", "kind", "least", "most"), [
    (spec("above", limit=0.99, trials_max=10), (10, 10), 459, 540),
    (spec("below", limit=0.001, trials_max=10), (0, 10), 4_603, 5_400),
    (spec("between", target=0.98, margin=0.02, trials_max=10), (10, 10), 131, 180),
])  # fmt: skip
def test_too_few_replications_without_a_failure_say_how_many_would_do(
    claim: ClaimSpec, kind: tuple[int, int], least: int, most: int
) -> None:
    """An outage fails all messages of a replication, so no fewer replications can do than if each were one trial."""
    entry = judge(claim, Tally({kind: 20}))
    needed = entry["needed_replications"]
    assert entry["verdict"] == "inconclusive"
    assert f"({needed:,} replications)" in entry["why"]
    assert least <= needed <= most
    verdicts = [judge(claim, Tally({kind: number}))["verdict"] for number in (needed - 1, needed)]
    assert verdicts == ["inconclusive", "verified"]


def test_if_nobody_knows_how_large_a_replication_can_be_it_may_be_twice_the_largest_seen() -> None:
    tally = Tally({(10, 10): 600, (4, 4): 3})
    entries = [judge(spec("above", limit=0.99, trials_max=most), tally) for most in (None, 20, 10, 7)]
    assert [each["trials_max"] for each in entries] == [20, 20, 10, 10]
    assert entries[0] == entries[1]
    assert entries[2] == entries[3], "what was seen is possible"
    assert [each["verdict"] for each in entries[1:3]] == ["inconclusive", "verified"]


def test_what_could_have_two_trials_is_no_single_trial_even_if_none_had_two() -> None:
    """Worlds that fail may be those with two: 1 in 200 of them make this false, and 500 often show none."""
    tally = independent(500, 500)
    verdicts = {most: judge(spec("above", limit=0.99, trials_max=most), tally)["verdict"] for most in (None, 1, 2)}
    assert verdicts == {None: "verified", 1: "verified", 2: "inconclusive"}


def test_a_replication_without_a_trial_is_no_cluster() -> None:
    tally = Tally()
    for seed in range(100):
        tally.add(seed % 2 if seed < 20 else 0, 1 if seed < 20 else 0)
    assert (tally.replications, tally.n) == (100, 20)
    assert rate(tally) == rate(independent(10, 20))


def observation(seed: int = 1, **counts: int) -> dict[str, Any]:
    base = {"messages": 2, "met_active_run": 1, "recovered_at_2": 0, "recovered_at_3": 0, "failed": 0, "succeeded": 2}
    return {"seed": seed, "fingerprint": "aa", "counts": base | counts, "series": {}, "details": {}}


def test_of_a_recovery_claim_only_what_recovered_at_no_attempt_offends() -> None:
    assert measure(FIRST, observation(recovered_at_2=1))[:3] == (1, 1, False)
    assert measure(FIRST, observation(recovered_at_3=1))[:3] == (0, 1, False)
    assert measure(FIRST, observation())[:3] == (0, 1, True)


def test_what_offends_depends_on_the_kind() -> None:
    assert measure(spec("below", limit=0.1), observation(failed=1))[:3] == (1, 2, True)
    assert measure(spec("below", limit=0.1), observation())[:3] == (0, 2, False)
    assert measure(spec("above", limit=0.9, event="succeeded"), observation(succeeded=1))[:3] == (1, 2, True)
    assert measure(spec("above", limit=0.9, event="succeeded"), observation())[:3] == (2, 2, False)
    assert measure(spec("never", among="replications"), observation(failed=2))[:3] == (1, 1, True)


def test_a_replication_that_never_met_what_a_claim_is_about_does_not_count_for_it() -> None:
    about = spec("never", where="met_active_run")
    rate_of = spec("below", limit=0.1, where="met_active_run")
    assert measure(about, observation(met_active_run=0))[:3] == (0, 0, False)
    assert measure(rate_of, observation(met_active_run=0, failed=1))[:3] == (0, 0, False)
    assert measure(about, observation(met_active_run=0, failed=1))[:3] == (1, 2, True)  # what must never happen has
    tally = Tally()
    for seed in range(3):
        tally.observe(about, observation(seed, met_active_run=0))
    nowhere = judge(about, tally)
    assert (nowhere["verdict"], nowhere["met_replications"]) == ("inconclusive", 0)
    assert nowhere["why"] == "never met: `met_active_run` was 0 in all 3 replications"
    for seed in range(3, 10):
        tally.observe(about, observation(seed))
    somewhere = judge(about, tally)
    assert (somewhere["verdict"], somewhere["n"], somewhere["met_replications"]) == ("verified", 14, 7)
    assert "judged by 7 of 10 replications, since in the others `met_active_run` was 0" in somewhere["why"]


@pytest.mark.parametrize("among", ["messages", "replications"])
def test_where_nobody_was_answered_no_answer_came_in_time(among: str) -> None:
    claim = spec("never", event="late", among=among)
    silent, polite = Tally(), Tally()
    nobody = {"messages": 3, "late": 0, "answered": 0, "covered": 0, "friendly_failure": 0, "generic_failure": 0}
    for seed in range(20):
        silent.observe(claim, observation(seed, **nobody))
        polite.observe(
            claim, observation(seed, **{**nobody, "friendly_failure": 2, "answered": 1, "apology_despite_cover": 1})
        )
    entry = judge(claim, silent)
    assert (entry["verdict"], entry["reason"], entry["n"]) == ("inconclusive", "no answer to measure", 0)
    assert entry["why"] == "no answer to measure: nobody got an answer or an apology in all 20 replications"
    assert polite.n == (40 if among == "messages" else 20)
    assert judge(claim, polite)["verdict"] == "verified"
    late = Tally()
    late.observe(claim, observation(0, **{**nobody, "answered": 1, "late": 1}))
    assert judge(claim, late)["verdict"] == "refuted"


def test_the_detail_is_the_worlds_own_sentence() -> None:
    seen = observation(transparency_breaches=1, lost=0)
    seen["details"] = {"apology_despite_cover": [{"text": "worker-2 cancelled run_A", "run": "run_A"}]}
    claim = spec("never", event="transparency_breaches")
    assert measure(claim, seen)[3] == {"text": "worker-2 cancelled run_A", "run": "run_A"}
    seen["details"] = {}
    assert measure(claim, seen)[3] == {"text": "transparency breaches: 1"}


def test_an_event_that_nobody_counts_is_an_error_and_no_pass() -> None:
    with pytest.raises(UnknownEventError, match="did you mean failed"):
        measure(spec("never", event="faild"), observation())
    with pytest.raises(ValueError, match="among only"):
        measure(spec("below", limit=0.1), observation(failed=3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "sometimes"}, "kind must be one of"),
        ({"kind": "between", "target": 0.9}, "needs margin"),
        ({"kind": "below"}, "needs limit"),
        ({"kind": "below", "limit": 7.0}, "between 0 and 1"),
        ({"kind": "exact"}, "needs value"),
        ({"kind": "never", "expect": "true"}, "expect must be one of"),
        ({"kind": "never", "alpha_share": 0.0}, "alpha_share"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(**wrong)


def test_a_claim_is_read_from_a_scenarios_table() -> None:
    table = {"id": "x", "title": "t", "kind": "below", "event": "failed", "limit": 0.1, "margin": None, "note": "?"}
    assert ClaimSpec.from_mapping(table) == ClaimSpec(id="x", title="t", kind="below", event="failed", limit=0.1)


shares = st.lists(
    st.tuples(st.integers(0, 4), st.integers(4, 9), st.booleans()).map(lambda each: each), min_size=3, max_size=24
)


def tallies(replications: list[tuple[int, int, bool]]) -> list[Tally]:
    parts = []
    for seed, (count, n, offends) in enumerate(replications):
        part = Tally()
        part.add(count, n, {"seed": seed, "fingerprint": "", "detail": {}} if offends else None, values=[count, n])
        parts.append(part)
    return parts


def total(parts: list[Tally]) -> dict[str, Any]:
    merged = Tally()
    for part in parts:
        merged.merge(part)
    return merged.to_dict()


@given(shares, st.integers(), st.data())
def test_tallies_merge_in_any_order_and_any_grouping(
    replications: list[tuple[int, int, bool]], seed: int, data: st.DataObject
) -> None:
    expected = total(tallies(replications))
    shuffled = tallies(replications)
    random.Random(seed).shuffle(shuffled)
    assert total(shuffled) == expected
    cut = data.draw(st.integers(0, len(replications)))
    left, right = total(tallies(replications)[:cut]), total(tallies(replications)[cut:])
    assert total([Tally.from_dict(right), Tally.from_dict(left)]) == expected
    seeds = [at for at, (_, _, offends) in enumerate(replications) if offends]
    assert [each["seed"] for each in expected["examples"]] == seeds[:5]


def test_a_tally_survives_the_way_through_plain_data() -> None:
    tally = Tally()
    tally.add(1, 3, {"seed": 4, "fingerprint": "x", "detail": {"text": "t"}}, values=[2.0])
    assert Tally.from_dict(tally.to_dict()) == tally
    assert tally.to_dict()["worlds"] == [[1, 3, 1]]
    assert Tally.from_dict({}) == Tally()


def test_a_seed_appears_as_the_command_that_replays_it() -> None:
    tally = Tally()
    tally.add(1, 1, {"seed": 7, "fingerprint": "f", "detail": {}})
    entry = judge(spec("never", expect="refuted"), tally, replay="relaysim replay race --seed {seed}")
    assert entry["examples"][0]["replay"] == "relaysim replay race --seed 7 --claim c"
    assert entry["as_expected"]


def within(kind: str, bound: float, **numbers: float) -> ClaimSpec:
    table = {"id": "quick", "title": "t", "kind": kind, "event": f"reply_seconds <= {bound}", "among": "messages"}
    return ClaimSpec.from_mapping({**table, **numbers})


def test_a_share_of_a_series_is_counted_among_all_who_could_have_a_value() -> None:
    """95 % answered within 20 s: who never got an answer was not answered within 20 s."""
    seen = {"seed": 3, "counts": {"messages": 4}, "series": {"reply_seconds": [5.0, 20.0, 20.5]}}
    count, n, offending, detail = measure(within("above", 20, limit=0.95), seen)
    assert (count, n, offending) == (2, 4, True)
    assert detail["text"] == "reply seconds <= 20: 2 of 4 (messages); the largest was 20.5"
    assert measure(within("above", 20.5, limit=0.95), seen)[:2] == (3, 4)
    unknown = {**seen, "series": {"reply_seconds": [-1.0, 0.0]}}  # what has no value is below no bound
    assert measure(within("above", 20, limit=0.95), unknown)[:2] == (1, 4)
    with pytest.raises(UnknownEventError, match="which no replication counts"):
        measure(within("above", 20, limit=0.95), {**seen, "series": {}})


@pytest.mark.parametrize(("slow", "verdict"), [(0, "verified"), (200, "refuted"), (50, "inconclusive")])
def test_a_percentile_has_a_verdict(slow: int, verdict: str) -> None:
    spec, tally = within("above", 20, limit=0.95), Tally()
    for seed in range(1000):
        seconds = 30.0 if seed < slow else 10.0
        tally.observe(spec, {"seed": seed, "counts": {"messages": 1}, "series": {"reply_seconds": [seconds]}})
    assert judge(spec, tally)["verdict"] == verdict


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 100), st.floats(0, 100))
def test_more_time_is_never_fewer_answers(values: list[float], one: float, other: float) -> None:
    seen = {"seed": 0, "counts": {"messages": 30}, "series": {"reply_seconds": values}}
    less, more = sorted((round(one, 3), round(other, 3)))
    assert measure(within("below", less, limit=0.5), seen)[0] <= measure(within("below", more, limit=0.5), seen)[0]
