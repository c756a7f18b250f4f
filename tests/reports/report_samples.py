"""Invented traces and results, shaped as the simulator's, for the tests of this folder to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.results import build_results, replay_template

Record = tuple[float, str, str, tuple[Any, ...]]

THREAD = "thread_Qm7dXc2pLr81"
RUN_A = "run_Zk4fHt90aabbQ1"
RUN_B = "run_Zk4fWq17ccddE2"
SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
WAIT_A_MOMENT = "Desculpe, estou processando sua mensagem anterior. Por favor, aguarde um momento e tente novamente."


class Tape:
    """Writes a trace in order, with the HTTP attempts of each worker numbered."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._attempts: dict[str, int] = {}

    def add(self, time: float, entity: str, kind: str, *fields: Any) -> None:
        self.records.append((time, entity, kind, fields))

    def call(
        self,
        time: float,
        worker: str,
        delivery: str,
        operation: str,
        *,
        run: str | None = None,
        status: int = 200,
        error: str | None = None,
        detail: Any = None,
        within: Callable[[str], None] = lambda request: None,
    ) -> None:
        """One request, served 0.1 s after it left and answered 0.2 s after; `within` adds what it causes."""
        self._attempts[worker] = self._attempts.get(worker, 0) + 1
        request = f"{worker}#{self._attempts[worker]}"
        self.add(time, worker, "request", request, delivery, operation, THREAD, run)
        within(request)
        self.add(time + 0.125, "api", "served", request, status, error, detail)
        self.add(time + 0.25, worker, "response", request, status, None if status == 200 else "BadRequestError")

    def sorted(self) -> list[Record]:
        return sorted(self.records, key=lambda record: record[0])


def lock_lost_trace(polls: int = 40, bystanders: int = 0) -> list[Record]:
    """Worker-1 is slow, loses its lock, and creates its run between worker-2's look at the list and its append."""
    tape = Tape()
    for index in range(bystanders):
        other, at = f"5511-{index}", index * 0.5
        tape.add(at, f"customer:{other}", "message.sent", f"x{index}", other, "oi", None)
        tape.add(at + 0.01, "worker-3", "handling.start", f"dx{index}", f"x{index}", 1)
        tape.add(at + 0.3, "worker-3", "send", f"dx{index}", other, "olá")
        tape.add(at + 0.3, f"customer:{other}", "received", other, "olá")
        tape.add(at + 0.3, "worker-3", "handling.end", f"dx{index}", "answered", None)
    tape.add(10.0, "customer:c1", "message.sent", "m1", "c1", "bom dia, queria marcar uma consulta", None)
    tape.add(10.1, "worker-1", "handling.start", "d1", "m1", 1)
    tape.add(10.11, "worker-1", "redis", "d1", "SET", "chat:c1", "OK")
    tape.call(10.2, "worker-1", "d1", "runs.list", detail=0)
    tape.call(10.5, "worker-1", "d1", "messages.create", detail="msg_1")
    tape.add(40.0, "customer:c1", "message.sent", "m2", "c1", "alguém aí?", None)
    tape.add(40.1, "worker-2", "handling.start", "d2", "m2", 1)
    for index in range(100):
        tape.add(40.11 + index * 0.1, "worker-2", "redis", "d2", "SET", "chat:c1", "nil")
    tape.add(70.11, "redis", "lease.expired", "chat:c1", "worker-1", "d1")
    tape.add(70.2, "worker-2", "redis", "d2", "SET", "chat:c1", "OK")
    tape.call(70.3, "worker-2", "d2", "runs.list", detail=0)
    tape.call(
        70.35,
        "worker-1",
        "d1",
        "runs.create",
        detail=RUN_A,
        within=lambda request: tape.add(70.475, "api", "run.state", RUN_A, THREAD, "queued", request),
    )
    tape.add(71.0, "api", "run.state", RUN_A, THREAD, "in_progress", "time")
    error = f"Can't add messages to {THREAD} while a run {RUN_A} is active."
    tape.call(70.6, "worker-2", "d2", "messages.create", status=400, error=error)
    tape.add(70.9, "worker-2", "send", "d2", "c1", SORRY)
    tape.add(71.0, "customer:c1", "received", "c1", SORRY)
    tape.add(71.01, "worker-2", "redis", "d2", "EVALSHA", "chat:c1", 1)
    tape.add(71.02, "worker-2", "handling.end", "d2", "generic_apology", "BadRequestError")
    for index in range(polls):
        tape.call(71.6 + index, "worker-1", "d1", "runs.retrieve", run=RUN_A)
    done = 71.6 + polls - 0.5
    tape.add(done - 0.4, "api", "run.state", RUN_A, THREAD, "completed", "time")
    tape.call(done, "worker-1", "d1", "messages.list")
    tape.add(done + 0.4, "worker-1", "send", "d1", "c1", "Claro! Para que dia?")
    tape.add(done + 0.5, "customer:c1", "received", "c1", "Claro! Para que dia?")
    tape.add(done + 0.6, "worker-1", "redis", "d1", "EVALSHA", "chat:c1", 0)
    tape.add(done + 0.7, "worker-1", "handling.end", "d1", "answered", None)
    return tape.sorted()


def cancelled_trace() -> list[Record]:
    """Worker-2 meets worker-1's run, cancels it, waits 2 s and gets its message in; worker-1's customer pays."""
    tape = Tape()
    tape.add(0.0, "customer:c1", "message.sent", "m1", "c1", "oi", None)
    tape.add(0.1, "worker-1", "handling.start", "d1", "m1", 1)
    tape.call(0.2, "worker-1", "d1", "messages.create", detail="msg_1")
    tape.call(
        0.5,
        "worker-1",
        "d1",
        "runs.create",
        detail=RUN_A,
        within=lambda request: tape.add(0.625, "api", "run.state", RUN_A, THREAD, "queued", request),
    )
    tape.add(1.0, "api", "run.state", RUN_A, THREAD, "in_progress", "time")
    for index in range(6):
        tape.call(1.5 + index, "worker-1", "d1", "runs.retrieve", run=RUN_A)
    tape.add(3.0, "customer:c1", "message.sent", "m2", "c1", "tudo bem?", None)
    tape.add(3.1, "worker-2", "handling.start", "d2", "m2", 1)
    error = f"Can't add messages to {THREAD} while a run {RUN_A} is active."
    tape.call(3.2, "worker-2", "d2", "messages.create", status=400, error=error)
    tape.add(
        3.45,
        "worker-2",
        "log",
        "d2",
        "warning",
        "[OpenAI] Active run detected during message creation (attempt 1/3)",
    )
    tape.call(
        3.5,
        "worker-2",
        "d2",
        "runs.cancel",
        run=RUN_A,
        within=lambda request: tape.add(3.625, "api", "run.state", RUN_A, THREAD, "cancelling", request),
    )
    tape.add(4.245, "api", "run.state", RUN_A, THREAD, "cancelled", "time")
    tape.call(5.75, "worker-2", "d2", "messages.create", detail="msg_2")
    tape.call(
        6.1,
        "worker-2",
        "d2",
        "runs.create",
        detail=RUN_B,
        within=lambda request: tape.add(6.225, "api", "run.state", RUN_B, THREAD, "queued", request),
    )
    tape.add(6.8, "worker-1", "send", "d1", "c1", SORRY)
    tape.add(6.9, "customer:c1", "received", "c1", SORRY)
    tape.add(6.95, "worker-1", "handling.end", "d1", "generic_apology", "RunCancelled")
    for index in range(9):
        tape.call(6.75 + index, "worker-2", "d2", "runs.retrieve", run=RUN_B)
    tape.add(15.5, "api", "run.state", RUN_B, THREAD, "completed", "time")
    tape.call(16.0, "worker-2", "d2", "messages.list")
    tape.add(16.4, "worker-2", "send", "d2", "c1", "Tudo! Em que posso ajudar?")
    tape.add(16.5, "customer:c1", "received", "c1", "Tudo! Em que posso ajudar?")
    tape.add(16.6, "worker-2", "handling.end", "d2", "answered", None)
    return tape.sorted()


def tally(count: int, n: int, *, seeds: tuple[int, ...] = (), text: str = "", **detail: Any) -> Tally:
    """n replications of one trial each, the first `count` of which had the event."""
    examples = [{"seed": seed, "fingerprint": f"{seed:016x}", "detail": {"text": text, **detail}} for seed in seeds]
    return replace(Tally.of_single_trials(count, n), examples=examples)


def _spec(identifier: str, kind: Any, event: str, among: str, **rest: Any) -> ClaimSpec:
    return ClaimSpec(id=identifier, title=identifier.replace("-", " "), kind=kind, event=event, among=among, **rest)


VICTIM = (
    "worker-2 cancelled run_Zk4fHt90, which was answering m1 of conversation c1 in worker-1; "
    "its customer received “Desculpe, ocorreu um erro ao processar sua mensagem.”"
)


def transparent(scenario: str, breaches: int, n: int) -> dict[str, Any]:
    spec = _spec(
        "transparent",
        "never",
        "transparency_breaches",
        "messages",
        expect="refuted" if breaches else "verified",
        reason="cancelling the run that the error names kills the run that answers the same customer" * bool(breaches),
    )
    seeds = (3, 11, 12, 40, 77)[:breaches]
    judged = tally(breaches, n, seeds=seeds, text=VICTIM, run="run_Zk4fHt90", answering="m1", received="the apology")
    return judge(spec, judged, replay=replay_template(scenario))


def family(scenario: str, counts: tuple[int, int, int], *, typical: bool) -> list[dict[str, Any]]:
    replay = replay_template(scenario)
    claims = []
    shares = ((0.9, 0.01), (0.09, 0.01), (0.01, 0.005))
    events = ("recovered_at_2", "recovered_at_3", "friendly_failure")
    for identifier, event, count, (target, margin) in zip(
        ("first-retry", "second-retry", "polite-failure"), events, counts, shares, strict=True
    ):
        spec = _spec(
            identifier,
            "between",
            event,
            "met_active_run",
            target=target,
            margin=margin,
            alpha_share=1 / 3,
            by_construction=not typical,
            expect="refuted" if typical and identifier != "first-retry" else "verified",
            reason="a cancelled run is sometimes slow to free its thread" if typical else "the profile was chosen so",
        )
        claims.append(judge(spec, tally(count, 40_000, seeds=(9, 23), text="recovered at no attempt"), replay=replay))
    return claims


def sample_results() -> dict[str, Any]:
    """Results of a whole run, with everything that a report can show."""
    exact = {"race": 2.0, "stuck_run": 6.0, "persistent_failure": 14.0}
    names = {"race": "race-wait", "stuck_run": "stuck-wait", "persistent_failure": "persistent-wait"}
    scenarios: list[dict[str, Any]] = []

    def scenario(name: str, title: str, profile: str, claims: list[dict[str, Any]], n: int, **rest: Any) -> None:
        breaches = 0 if name == "persistent_failure" else 5
        blocks = {
            "scenario": name,
            "title": title,
            "hash": f"{len(scenarios):02d}3f9ac41d27",
            "root_seed": 20251104,
            "lane": "direct",
            "mode": "realizable",
            "profile": profile,
            "replications": n,
            "claims": [*claims, transparent(name, breaches, n)],
            "invariants": {
                "S5": {"breaches": breaches, "examples": claims[0]["examples"][:2] if claims else []},
                "S1": {"breaches": 0, "examples": []},
            },
            "outcomes": {"answered": n - breaches, "generic_apology": breaches, "friendly_apology": 7},
            "latency": {"reply_seconds": {"p50": 13.2, "p90": 25.1, "p99": 44.0, "mean": 15.02, "max": 61.25}},
            "reply_or_never": {"n": n, "never": breaches, "p50": 13.2, "p90": 25.1, "p99": None if breaches else 44.0},
        }
        scenarios.append(blocks | rest)

    map_block = {
        "x": {"name": "cancel median", "unit": "s", "values": [0.3, 0.45, 0.62, 0.8, 1.2]},
        "y": {"name": "stuck rate", "unit": "%", "values": [0.0, 0.5, 1.0, 2.0]},
        "cells": [
            [
                {
                    "verdicts": {
                        "first-retry": "verified" if x == 2 and y < 2 else "inconclusive" if x == 1 else "refuted",
                        "second-retry": "verified" if x == 2 and y == 0 else "refuted",
                        "polite-failure": "inconclusive" if x == 2 else "refuted",
                    },
                    "observed": {
                        "first-retry": 0.98 - 0.06 * x - 0.004 * y,
                        "second-retry": 0.02 + 0.03 * x,
                        "polite-failure": 0.002 + 0.004 * x + 0.01 * y,
                    },
                    "n": 2000,
                }
                for x in range(5)
            ]
            for y in range(4)
        ],
    }
    scenario(
        "incident",
        "Every replication has one conflict; how fast the thread is freed comes from the profile",
        "claimed",
        family("incident", (36_012, 3_588, 400), typical=False),
        40_000,
        map=map_block,
    )
    scenario(
        "incident_typical",
        "The same under a backend as public reports describe it",
        "typical",
        family("incident_typical", (35_020, 3_260, 1_720), typical=True),
        40_000,
    )
    for name, value in exact.items():
        spec = _spec(names[name], "exact", "wait_seconds", "met_active_run", value=value)
        judged = replace(Tally.of_single_trials(400, 400), low=value, high=value)
        log = _spec("log-lines", "never", "log_mismatch", "messages")
        claims = [judge(spec, judged, replay=replay_template(name)), judge(log, tally(0, 400))]
        scenario(name, f"The {name.replace('_', ' ')} of the report", "claimed", claims, 400)
    before = Tally()
    after = Tally()
    for seed in range(900):
        before.add((seed * 7) % 5 + 1, 40, {"seed": seed, "fingerprint": "ab", "detail": {"text": "an apology"}})
        after.add(int(seed % 15 == 0), 40)
    before_spec = _spec("before-rate", "between", "failed", "messages", target=0.075, margin=0.025, trials_max=40)
    curve = {
        "x": {"name": "load", "unit": "messages per minute", "values": [30, 60, 90, 120, 180]},
        "band": [0.05, 0.10],
        "points": [
            {
                "x": x,
                "count": count,
                "n": 2400,
                "n_effective": 1900.0,
                "observed": count / 2400,
                "interval": [count / 2400 * 0.8, count / 2400 * 1.24],
            }
            for x, count in ((30, 40), (60, 88), (90, 140), (120, 190), (180, 330))
        ],
    }
    claims = [judge(before_spec, before, replay=replay_template("peak_hour_before"))]
    scenario("peak_hour_before", "The peak hour as it was before the fix", "typical", claims, 900, curve=curve)
    success = _spec("success", "above", "succeeded", "messages", limit=0.99, trials_max=40)
    target = _spec("error-target", "below", "failed", "messages", limit=0.001, reason="conflicts are rare enough")
    succeeded = Tally()
    for seed in range(900):
        succeeded.add(40 - int(seed % 15 == 0), 40, {"seed": seed, "fingerprint": "cd", "detail": {"text": "<b>lost"}})
    claims = [judge(success, succeeded, replay=replay_template("peak_hour")), judge(target, after)]
    scenario("peak_hour", "The peak hour after the fix", "typical", claims, 900)
    return build_results("0.1.0+abc1234", scenarios)


def sample_timing() -> dict[str, Any]:
    return {"date": "2026-11-22T21:40:00Z", "machine": "2 cores", "python": "3.12.1", "seconds": 191.4, "jobs": 2}
