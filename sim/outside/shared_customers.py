"""Customers whom no other world has, for a program or a Redis that several worlds share.

A program that runs already remembers the customers and messages of worlds before, and so does one that keeps its state
in the user's own Redis. So each world has telephone numbers, and ids, of its own. In the world they are called as ever: the
provider translates.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from relaysim.sim.providers import (
    Attempt,
    CustomerMessage,
    Done,
    HttpRequest,
    HttpResponse,
    Notification,
    NotSimulated,
    Provider,
    Text,
)


class _Translating:
    """A provider for whom customer 1 of the world is a later one."""

    def __init__(self, provider: Provider, others: int) -> None:
        self._provider = provider
        self._others = others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """As the provider's."""
        return self._provider.webhook([self._message(each) for each in messages], attempt)

    def replies(self, response: HttpResponse, message: CustomerMessage) -> tuple[Text, ...]:
        """As the provider's."""
        found = self._provider.replies(response, self._message(message))
        return tuple(self._back(each) for each in found)

    def read(self, request: HttpRequest) -> Text | Done | NotSimulated:
        """As the provider's."""
        asked = self._provider.read(request)
        if not isinstance(asked, Text):
            return asked
        if 0 < _number(asked.conversation) <= self._others:  # still on its way to a customer of a world before
            return Done(self._provider.sent(asked, self._others, time.time()))
        return self._back(asked)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """As the provider's."""
        return self._provider.sent(self._there(text), number + self._others, now)

    def notifications(self, text: Text, number: int, now: float) -> tuple[Notification, ...]:
        """As the provider's."""
        return self._provider.notifications(self._there(text), number + self._others, now)

    def address(self, conversation: str) -> str:
        """As the provider's."""
        return self._provider.address(_moved(conversation, self._others))

    def conversation(self, address: str) -> str | None:
        """As the provider's."""
        found = self._provider.conversation(address)
        return None if found is None else _moved(found, -self._others)

    def _message(self, message: CustomerMessage) -> CustomerMessage:
        conversation = _moved(message.conversation, self._others)
        return message._replace(
            id=f"{conversation}{message.id.removeprefix(message.conversation)}", conversation=conversation
        )

    def _there(self, text: Text) -> Text:
        return text._replace(conversation=_moved(text.conversation, self._others))

    def _back(self, text: Text) -> Text:
        return text._replace(conversation=_moved(text.conversation, -self._others))


def _moved(conversation: str, by: int) -> str:
    """Another one's name; what is nobody's stays so."""
    number = _number(conversation) + by
    return f"c{number}" if number > max(by, 0) else conversation


def _number(conversation: str) -> int:
    """Of a customer; 0: nobody's."""
    return int(conversation[1:]) if conversation[1:].isdecimal() else 0


def with_customers_after(provider: Provider, others: int) -> Provider:
    """The provider, with customers who come after so many others."""
    return cast("Provider", _Translating(provider, others)) if others else provider
