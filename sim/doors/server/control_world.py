"""The world as the control API shows it: models filled with what is there at the present virtual instant."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any, Final

from relaysim.sim.doors.server import CONTROL_PREFIX
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_models import (
    Clock,
    Counts,
    FaultEntry,
    Faults,
    Overview,
    ProfileName,
)
from relaysim.sim.doors.server.control_replies import written
from relaysim.sim.doors.simulation import ApiSettings

_LINKS: Final = ("docs", "openapi.json", "clock", "faults", "trace", "replies", "settings")


def show_overview(server: SimulatedServer, pages: Sequence[str]) -> Overview:
    """The world in short; `pages` are those of this API alone."""
    with server.present() as api:
        threads, runs = api.service.counts()
        return Overview(
            name="relaysim",
            version=installed_version(),
            profile=ProfileName(name=api.profile.name, title=api.profile.title),
            seed=api.settings.seed,
            speed=server.pacer.speed,
            virtual_seconds=api.kernel.now,
            unix_seconds=api.service.now(),
            counts=Counts(
                threads=threads,
                runs=dict(runs),
                requests=api.requests,
                errors=server.errors,
            ),
            links={name: f"{CONTROL_PREFIX}/{name}" for name in (*_LINKS, *pages)},
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


def show_settings(settings: ApiSettings) -> dict[str, Any]:
    """Settings as a request could give them: what a fault or a reply does not say is left out, all else is there."""
    shown = settings.model_dump(mode="json", exclude={"faults", "replies"})
    faults = [fault.model_dump(mode="json", exclude_defaults=True) for fault in settings.faults]
    return {**shown, "faults": faults, "replies": written(settings.replies)}


def installed_version() -> str:
    """The version of this package."""
    try:
        return importlib.metadata.version("relaysim")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
