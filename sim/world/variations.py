"""What explored worlds have that the scenario's own worlds have not: further faults, and other values of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from relaysim.sim.backends.profile import Profile
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.redis.redis_faults import RedisFault
from relaysim.sim.world.host_faults import HostFault
from relaysim.sim.world.send_faults import SendFault
from relaysim.sim.world.webhook_faults import WebhookFault

RELAY_SETTINGS: Final = "relay.settings"
_TABLES: Final = (RELAY_SETTINGS, "workload", "profile")

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
        description="by `relay.settings.NAME`, `workload.NAME` or `profile.NAME`: other values that it may have, each "
        "within what the relay under test must bear",
    )
    vary_probability: float = Field(
        default=0.25, ge=0, le=1, description="how likely each of these has one of its other values, in each world"
    )

    @field_validator("vary")
    @classmethod
    def _names_what_may_vary(cls, vary: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for path, values in vary.items():
            table, _, name = path.rpartition(".")
            if table not in _TABLES or not name:
                raise ValueError(f"{path!r} cannot vary: name relay.settings.NAME, workload.NAME or profile.NAME")
            if not values:
                raise ValueError(f"{path!r} has no other value: list one or more, or leave it out")
        return vary

    def check(self, tables: Mapping[str, BaseModel]) -> None:
        """Raise ValueError if a value does not fit the table that it is for; a relay's settings only its factory knows."""
        for path, values in self.vary.items():
            name, _, key = path.rpartition(".")
            if name in tables and key not in type(tables[name]).model_fields:
                raise ValueError(f"explored.vary: there is no {path}")
            for value in values if name in tables else ():
                try:
                    with_value(tables[name], key, value)
                except ValidationError as error:
                    said = error.errors(include_url=False, include_input=False)[0]["msg"]
                    raise ValueError(f"explored.vary: {path} = {value!r}: {said}") from None


def with_value(table: T, key: str, value: Any) -> T:
    """A table with another value at one key. Raises pydantic.ValidationError."""
    given = {name: getattr(table, name) for name in table.model_fields_set}
    if isinstance(table, Profile):
        given["basis"] = {**table.basis, key: "one of the values that explored worlds have"}
    return type(table).model_validate({**given, key: value})
