"""What explored worlds have that the scenario's own worlds have not: further faults, and other values of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from relaysim.sim.backends.profile import Profile
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.redis.redis_faults import RedisFault
from relaysim.sim.world.host_faults import HostFault
from relaysim.sim.world.send_faults import SendFault
from relaysim.sim.world.webhook_faults import WebhookFault

RELAY_SETTINGS: Final = "relay.settings"
_TABLES: Final = (RELAY_SETTINGS, "workload", "profile", "redis")


class Variant(BaseModel):
    """Values that go together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: float = Field(default=0.1, ge=0, le=1, description="how likely a world has all of them")
    values: dict[str, Any] = Field(min_length=1, description="by path, as in `vary`: the value of each")

    @field_validator("values")
    @classmethod
    def _names_what_may_vary(cls, values: dict[str, Any]) -> dict[str, Any]:
        check_paths(values)
        return values


def check_paths(paths: Iterable[str]) -> None:
    """Raise ValueError if one of these names nothing that may vary."""
    for path in paths:
        table, _, name = path.rpartition(".")
        if table not in _TABLES or not name:
            raise ValueError(
                f"{path!r} cannot vary: name relay.settings.NAME, workload.NAME, profile.NAME or redis.NAME"
            )


T = TypeVar("T", bound=BaseModel)


class Explored(BaseModel):
    """What a world has besides if a strategy draws it: a mistake that waits for a small batch, a message that no run may
    answer or a thread that vanishes is not found where none of that happens. Nothing here touches the worlds of strategy
    `independent`, so no rate rests on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    faults: tuple[ApiFault, ...] = Field(default=(), description="further faults of the API and of the way to it")
    host_faults: tuple[HostFault, ...] = Field(default=(), description="further faults of workers")
    redis_faults: tuple[RedisFault, ...] = Field(default=(), description="further faults of Redis and of the way to it")
    webhook_faults: tuple[WebhookFault, ...] = Field(default=(), description="further faults of the webhooks")
    send_faults: tuple[SendFault, ...] = Field(default=(), description="further faults of sending texts to customers")
    vary: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="by `relay.settings.NAME`, `workload.NAME`, `profile.NAME` or `redis.NAME`: other values that it may "
        "have, each within what the relay under test must bear",
    )
    variants: tuple[Variant, ...] = Field(
        default=(), description="values that go together: a server's kind and the setting that it needs, say"
    )
    vary_probability: float = Field(
        default=0.25, ge=0, le=1, description="how likely each of these has one of its other values, in each world"
    )

    @field_validator("vary")
    @classmethod
    def _names_what_may_vary(cls, vary: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        check_paths(vary)
        for path, values in vary.items():
            if not values:
                raise ValueError(f"{path!r} has no other value: list one or more, or leave it out")
        return vary

    def check(self, tables: Mapping[str, BaseModel]) -> None:
        """Raise ValueError if a value does not fit the table that it is for; a relay's settings only its factory knows."""
        given = [("vary", path, values) for path, values in self.vary.items()]
        given += [("variants", path, (value,)) for each in self.variants for path, value in each.values.items()]
        for where, path, values in given:
            name, _, key = path.rpartition(".")
            if name in tables and key not in type(tables[name]).model_fields:
                raise ValueError(f"explored.{where}: there is no {path}")
            for value in values if name in tables else ():
                try:
                    with_value(tables[name], key, value)
                except ValidationError as error:
                    said = error.errors(include_url=False, include_input=False)[0]["msg"]
                    raise ValueError(f"explored.{where}: {path} = {value!r}: {said}") from None


def with_value(table: T, key: str, value: Any) -> T:
    """A table with another value at one key. Raises pydantic.ValidationError."""
    given = {name: getattr(table, name) for name in table.model_fields_set}
    if isinstance(table, Profile):
        given["basis"] = {**table.basis, key: "one of the values that explored worlds have"}
    return type(table).model_validate({**given, key: value})
