"""The world as the control API shows it: models filled with what is there at the present virtual instant."""

from __future__ import annotations

import importlib.metadata
from typing import Any, Final

from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.states import EXPIRY_SECONDS, RULES, STATES, TRANSITIONS, Evidence, mermaid
from relaysim.sim.doors.server import CONTROL_PREFIX
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_models import (
    Clock,
    Counts,
    FaultEntry,
    Faults,
    MoveEntry,
    Overview,
    ProfileName,
    RuleEntry,
    RunEntry,
    StateEntry,
    States,
)
from relaysim.sim.doors.server.control_replies import written
from relaysim.sim.doors.server.control_runs import moves_from
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi

_LINKS: Final = ("docs", "openapi.json", "clock", "faults", "trace", "runs", "replies", "settings", "states")

_EVIDENCE: Final[dict[str, str]] = {
    Evidence.CAPTURED: "a wire capture or a traceback in a public report",
    Evidence.DOCUMENTED: "official documentation or the OpenAPI text",
    Evidence.RELIED_ON: "public client code depends on it",
    Evidence.INFERRED: "none of these: a choice of this simulator",
}


def show_overview(server: SimulatedServer) -> Overview:
    """The world in short."""
    with server.present() as api:
        states = [run.status for run in api.service.runs.values()]
        return Overview(
            name="relaysim",
            version=installed_version(),
            profile=ProfileName(name=api.profile.name, title=api.profile.title),
            seed=api.settings.seed,
            speed=server.pacer.speed,
            virtual_seconds=api.kernel.now,
            unix_seconds=api.service.now(),
            counts=Counts(
                threads=len(api.service.threads),
                runs={state.name: states.count(state.name) for state in STATES},
                requests=api.requests,
                errors=server.errors,
            ),
            links={name: f"{CONTROL_PREFIX}/{name}" for name in _LINKS},
        )


def show_clock(server: SimulatedServer) -> Clock:
    """Virtual time."""
    with server.present() as api:
        return Clock(virtual_seconds=api.kernel.now, unix_seconds=api.service.now(), speed=server.pacer.speed)


def show_faults(server: SimulatedServer) -> Faults:
    """The faults in force."""
    plan = server.api.faults
    return Faults(
        faults=[
            FaultEntry(index=index, fired=fired, fault=fault)
            for index, (fault, fired) in enumerate(zip(plan.faults, plan.fired, strict=True))
        ]
    )


def show_run(api: SimulatedApi, run: RunRecord) -> RunEntry:
    """A run."""
    return RunEntry(
        id=run.id,
        thread_id=run.thread.id,
        state=run.status,
        # A time since 1970 resolves a quarter of a microsecond.
        created_virtual_seconds=round(run.created - api.start_seconds, 6),
        locks_thread=run.thread.active is run,
        stuck=not run.ended and api.lives.is_stuck(run),
        moves=moves_from(run.status),
    )


def show_settings(settings: ApiSettings) -> dict[str, Any]:
    """Settings as a request could give them: what a fault or a reply does not say is left out, all else is there."""
    said = settings.model_dump(mode="json", exclude={"faults", "replies"})
    faults = [fault.model_dump(mode="json", exclude_defaults=True) for fault in settings.faults]
    return {**said, "faults": faults, "replies": written(settings.replies)}


def show_states() -> States:
    """The table of run states."""
    return States(
        states=[StateEntry(**state._asdict()) for state in STATES],
        moves=[MoveEntry(**move._asdict()) for move in TRANSITIONS],
        rules=[RuleEntry(**{**rule._asdict(), "states": list(rule.states)}) for rule in RULES],
        evidence=_EVIDENCE,
        expiry_seconds=EXPIRY_SECONDS,
        mermaid=mermaid(),
    )


def installed_version() -> str:
    """The version of this package."""
    try:
        return importlib.metadata.version("relaysim")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
