"""What a scenario file may say. Files are TOML; `relaysim.scenarios.load` reads and checks them.

What a world is made of, the tables from `relay` to `limit_seconds`, is `relaysim.sim.world.settings`; the rest says how
often it is run, what is claimed about it, and over what the claims are mapped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SerializeAsAny, model_validator

from relaysim.reports.claim_kinds import CLAIM_KINDS, NUMBERS, Kind
from relaysim.reports.claims import ClaimSpec
from relaysim.reports.results import FactoryOption, explore_command, replay_template, verify_command
from relaysim.scenarios.another_relay import is_somebodys_own
from relaysim.scenarios.document import Document
from relaysim.sim.backends import DEFAULT, backend_named
from relaysim.sim.backends.other_endpoints.settings import ECHOING
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.replies import EchoReplies
from relaysim.sim.world.settings import FAULT_LISTS, Limits, WorldSettings, WorldTables


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClaimEntry(_Table):
    """A claim, and the verdict that is expected of it."""

    id: str = Field(pattern=r"^[A-Za-z0-9][\w-]*$", description="letters, digits, - and _; unique in its scenario")
    title: str = Field(min_length=1, description="the claim in a few words")
    kind: Kind = Field(
        description="between target - margin and target + margin; below or above a limit; never; absent, which an "
        "occurrence leaves inconclusive; or exactly a value"
    )
    event: str = Field(
        description="what is counted: a count of the observation; the values of a series up to a bound, as "
        "`reply_seconds <= 20` (with `above` and `limit = 0.95`: 95 % are answered within 20 s; who gets no answer is not); "
        "a counter of the scenario's own, or the messages with more than so many of it, as `model_calls > 3`; "
        "or for `exact` one of its series"
    )
    among: str = Field(
        default="replications", description="the trials: a count of the observation, or each replication as one trial"
    )
    target: float | None = Field(default=None, ge=0, le=1, description="for `between`: the rate, 0 to 1")
    margin: float | None = Field(default=None, gt=0, le=1, description="for `between`: half the width of the limit")
    limit: float | None = Field(default=None, ge=0, le=1, description="for `below` and `above`: the rate, 0 to 1")
    value: float | None = Field(default=None, description="for `exact`: what each value of the series must be")
    alpha_share: float = Field(
        default=1.0, gt=0, le=1, description="the claim's share of its family's 1 % of wrong verdicts"
    )
    expect: Literal["verified", "refuted", "inconclusive"] = Field(
        default="verified", description="the verdict that is expected; any other makes `verify` fail"
    )
    reason: str = Field(min_length=1, description="why that verdict is expected, in one line")
    by_construction: bool = Field(default=False, description="the scenario's numbers were chosen so that it holds")
    where: str = Field(
        default="",
        description="a count: worlds in which it is 0 never met what the claim is about, and do not count for it",
    )
    scope: Literal["any", "incident"] = Field(
        default="any",
        description="`any`: also judged, and expected to be verified, when --factory puts another relay in",
    )

    @model_validator(mode="after")
    def _numbers_fit_the_kind(self) -> ClaimEntry:
        needed = CLAIM_KINDS[self.kind].needs
        given = [name for name in NUMBERS if getattr(self, name) is not None]
        missing = [f"`{name}`" for name in needed if name not in given]
        stray = [f"`{name}`" for name in given if name not in needed]
        if missing:
            raise ValueError(f"kind {self.kind!r} needs {' and '.join(missing)}")
        if stray:
            raise ValueError(f"kind {self.kind!r} has no {' or '.join(stray)}")
        return self

    def spec(self) -> ClaimSpec:
        """The claim as `relaysim.reports.claims` judges it."""
        return ClaimSpec.from_mapping(self.model_dump())


class Axis(_Table):
    """One quantity of the scenario, and the values it takes."""

    path: str = Field(min_length=1, description="dotted path into the scenario, as for --set")
    values: tuple[float, ...] = Field(min_length=1, max_length=100, description="its values, in the order drawn")
    name: str = Field(min_length=1, description="what it is called in the figure")
    unit: str = Field(default="", description="its unit, e.g. s")
    scale: float = Field(default=1.0, gt=0, description="what the values are multiplied by where they are shown")

    def shown(self) -> dict[str, Any]:
        """Name, unit and values as results have them."""
        return {"name": self.name, "unit": self.unit, "values": [value * self.scale for value in self.values]}


class MapPlan(_Table):
    """Where the claims hold: their verdicts over two quantities."""

    x: Axis = Field(description="from left to right")
    y: Axis = Field(description="from the bottom up")
    claims: tuple[str, ...] = Field(default=(), description="ids of the claims judged; absent: all that have a rate")
    replications: int = Field(ge=1, le=1_000_000, description="worlds per cell")


class CurvePlan(_Table):
    """The rate of one claim's event over one quantity."""

    x: Axis = Field(description="the quantity, e.g. the load")
    claim: str = Field(description="id of the claim whose rate is drawn")
    band: tuple[float, float] = Field(description="the rates to mark, from and to, each 0 to 1")
    replications: int = Field(ge=1, le=1_000_000, description="worlds per point")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a scenario came from: what the user typed, the document before it was checked, and what was set."""

    given: str
    document: Document
    files: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    factory: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    option: FactoryOption = "--factory"

    def replay_template(self, further: Mapping[str, Any] | None = None) -> str:
        """The command that replays one seed of it, perhaps with further settings; see `relaysim.reports.results`."""
        settings = {**self.settings, **(further or {})}
        return replay_template(self.given, settings=settings, factory=self.factory, option=self.option)

    @property
    def explore_command(self) -> str:
        """The command that looks for what goes wrong in its worlds."""
        return explore_command(self.given, settings=self._own_settings, factory=self.factory, option=self.option)

    @property
    def verify_command(self) -> str:
        """The command that judges the relay that an option put in, in all scenarios that suit any."""
        return verify_command(settings=self._own_settings, factory=self.factory, option=self.option)

    @property
    def _own_settings(self) -> dict[str, Any]:
        return {name: value for name, value in self.settings.items() if name != "strategy"}


class Heading(_Table):
    """What a scenario file begins with: its names, how often and in which lane it runs, and its backend."""

    schema_version: Literal[1] = Field(alias="schema", description="the number 1, for the format of this file")
    name: str = Field(pattern=r"^[A-Za-z0-9][\w-]*$", description="letters, digits, - and _; how results call it")
    title: str = Field(min_length=1, description="one line")
    description: str = Field(default="", description="a paragraph: what happens here and why")
    variant: str = Field(
        default="",
        description="scenarios of one variant share a line of the summary; absent: those of one profile do",
    )
    root_seed: int = Field(ge=0, description="keys every draw, together with a replication's own number")
    replications: int = Field(ge=1, le=10_000_000, description="how many worlds are run, numbered from 0")
    lane: Literal["sdk", "direct"] = Field(
        default="sdk", description="`sdk`: the SDK's own code runs; `direct`: the same world without it, faster"
    )
    check_lanes: int = Field(
        default=0, ge=0, description="with lane `direct`: how many of the first worlds to compare with lane `sdk`"
    )
    mode: Literal["realizable"] = Field(
        default="realizable", description="order inside one worker: first in, first out, as asyncio promises"
    )
    profile: str = Field(
        min_length=1, description="the backend: a shipped profile's name, or a path relative to this file"
    )
    profile_overrides: dict[str, Any] = Field(default_factory=dict, description="numbers of the profile to replace")
    backend: SerializeAsAny[Profile] = Field(description="the profile, resolved; filled in by the loader")


# The heading comes last, because pydantic puts the fields of later bases first.
class Scenario(WorldTables, Heading):
    """A scenario, complete: what it extends is merged in, and its profile is resolved."""

    claims: tuple[ClaimEntry, ...] = Field(default=(), description="what is claimed")
    map: MapPlan | None = Field(default=None, description="where the claims hold")
    curve: CurvePlan | None = Field(default=None, description="a rate over one quantity")

    _origin: Origin | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_its_api(cls, data: Any) -> Any:
        """A profile that comes as JSON may have more numbers than others."""
        numbers = data.get("backend") if isinstance(data, dict) else None
        if not isinstance(numbers, dict):
            return data
        return {**data, "backend": backend_named(data.get("api", DEFAULT)).profile.model_validate(numbers)}

    @property
    def origin(self) -> Origin:
        """Where it came from; for one made in code, its name and nothing else."""
        return self._origin or Origin(self.name, {})

    @property
    def own_relay(self) -> str | None:
        """Somebody's own relay, which an option put in or the file names; None for one that ships."""
        if self.origin.factory is not None:
            return self.origin.factory
        return self.relay.factory if is_somebodys_own(self.relay.factory) else None

    @model_validator(mode="after")
    def _varies_within_its_backend(self) -> Scenario:
        self.explored.check({"profile": self.backend})
        return self

    def world_settings(self) -> WorldSettings:
        """The world without its seed."""
        tables = {name: getattr(self, name) for name in WorldTables.model_fields}
        return WorldSettings(profile=self.backend, **tables)

    def specs(self) -> dict[str, ClaimSpec]:
        """The claims as `relaysim.reports.claims` judges them, by id, with what is known of the worlds: their size, and
        whether a tape makes them one."""
        specs = {claim.id: replace(claim.spec(), of_one_world=self.tape is not None) for claim in self.claims}
        if self.workload.messages_max is None:
            return specs
        return {
            name: replace(spec, trials_max=self.workload.messages_max) if spec.among == "messages" else spec
            for name, spec in specs.items()
        }

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of everything that the file says, parents and profile resolved.

        How many replications are run and in which lane is left out: those stand beside it in the results, and more of
        the same worlds are still the same worlds.
        """
        left_out = {"replications", "lane", "check_lanes", "profile", "profile_overrides"}
        if self.strata is None:
            left_out.add("strata")  # so that files from before there were any keep their hash
        if self.api == DEFAULT:
            left_out.add("api")  # likewise
        if self.limits == Limits():
            left_out.add("limits")  # likewise
        if self.strategy == "independent":
            left_out |= {"strategy", "explored"}  # the second says nothing about their worlds
        if self.tape is None:
            left_out.add("tape")
        if self.replies == EchoReplies():
            left_out.add("replies")  # likewise
        if self.other_endpoints == ECHOING:
            left_out.add("other_endpoints")  # likewise
        if self.events is None:
            left_out.add("events")
        if not self.redis.cluster:
            left_out.add("redis")
        if self.provider is None:
            left_out.add("provider")
        if not self.environment:
            left_out.add("environment")
        if not self.counters:
            left_out.add("counters")
        plain = self.model_dump(mode="json", by_alias=True, exclude=left_out)
        if not self.relay.notices:
            del plain["relay"]["notices"]
        if self.relay.libraries is None:
            del plain["relay"]["libraries"]
        for group in plain["workers"]:
            if group["threads"] is None:
                del group["threads"]
        if self.workload.texts == "numbered":
            del plain["workload"]["texts"]
        if self.workload.tells_time:
            del plain["workload"]["tells_time"]
        for name in ("rate_limited_probability", "filtered_probability", "several_probability"):
            if not plain["backend"][name]:
                del plain["backend"][name]
        for name in ("answers_probability", "interrupts_probability", "foreign_runs_per_minute", "repeats_probability"):
            if not plain["workload"][name]:
                del plain["workload"][name]
        if self.workload.names == "plain":
            del plain["workload"]["names"]
        for name in FAULT_LISTS:
            for fault in plain[name]:
                if fault.get("after_events") is None:
                    fault.pop("after_events", None)
                if fault.get("site_probability") == 1.0:
                    del fault["site_probability"]
        for fault in plain["host_faults"]:
            if fault.get("after_seconds") is None:
                fault.pop("after_seconds", None)
        for claim in plain["claims"]:
            if not claim["where"]:
                del claim["where"]  # likewise
        text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def worlds_hash(self) -> str:
        """16 hexadecimal digits of what its worlds draw, without the relay: scenarios that share them differ in their relay
        alone, so that their rates may stand side by side."""
        plain = self.world_settings().model_dump(mode="json", by_alias=True, exclude={"relay", "counters"})
        for group in plain["workers"]:
            group.pop("settings", None)
        text = json.dumps([self.root_seed, self.strategy, plain], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def identity(self) -> dict[str, str]:
        """What results say of it: its name, title, description and hash."""
        description = " ".join(self.description.split())
        return {"scenario": self.name, "title": self.title, "description": description, "hash": self.hash}

    def to_json(self) -> str:
        """The scenario as JSON, for another process; `from_json` reads it."""
        # Some tables refuse keys that do not belong to their kind, also with their default value.
        return self.model_dump_json(by_alias=True, exclude_unset=True)

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """What `to_json` wrote. Raises pydantic.ValidationError."""
        return cls.model_validate_json(text)
