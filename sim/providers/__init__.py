"""Providers of chat channels: how they hand messages on, and how a bot sends texts through them. Begin with `provider`.

- `provider`: what each must say; addresses, waits, and the grades of what is known.
- `fields`: keys that most of them have with a default of their own.
- `http`: requests and responses as plain values.
- `whatsapp`, `twilio`, `evolution`, `telegram`, `slack`: one each.
- `custom`: one that a scenario describes.
- `sending`: a limit of texts per customer, and what is left of it; `reference`: docs/providers.md.

Knows nothing of worlds; everything here is a pure function of a scenario's table `[provider]`, but for `sending`, which
counts. A further provider is a module and its name in `AnyProvider`.
"""

from typing import Annotated, Final, get_args

from pydantic import Field

from relaysim.sim.providers.custom import Custom
from relaysim.sim.providers.evolution import Evolution
from relaysim.sim.providers.fields import Failure
from relaysim.sim.providers.http import HttpRequest, HttpResponse
from relaysim.sim.providers.provider import (
    Attempt,
    CustomerMessage,
    Done,
    Limit,
    Notification,
    NotSimulated,
    Provider,
    Text,
)
from relaysim.sim.providers.sending import Allowance
from relaysim.sim.providers.slack import Slack
from relaysim.sim.providers.telegram import Telegram
from relaysim.sim.providers.twilio import Twilio
from relaysim.sim.providers.whatsapp import WhatsApp

AnyProvider = Annotated[WhatsApp | Twilio | Evolution | Telegram | Slack | Custom, Field(discriminator="kind")]
"""A table `[provider]`; its `kind` says which."""

PROVIDERS: Final[tuple[type[Provider], ...]] = get_args(get_args(AnyProvider)[0])
"""All of them, by their order there."""


__all__ = [
    "PROVIDERS",
    "Allowance",
    "AnyProvider",
    "Attempt",
    "Custom",
    "CustomerMessage",
    "Done",
    "Evolution",
    "Failure",
    "HttpRequest",
    "HttpResponse",
    "Limit",
    "NotSimulated",
    "Notification",
    "Provider",
    "Slack",
    "Telegram",
    "Text",
    "Twilio",
    "WhatsApp",
]
