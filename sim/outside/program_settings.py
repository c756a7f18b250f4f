"""How a relay's copies are started and reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from relaysim.sim.outside.programs import Guard, Program
from relaysim.sim.outside.redis_server import Place


class ProgramSettings(NamedTuple):
    """How a relay's copies are started and reached.

    command      the program and its arguments; empty: it runs already
    copies       how many
    webhook      where a copy takes webhooks; `{port}` stands for its own port
    environment  variables for it; in their values `{port}`, `{api}`, `{provider}`, `{redis}`, `{redis_host}` and
                 `{redis_port}` stand for addresses
    logs         folder of what the copies print, and of what Redis keeps
    folder       where the command runs; None: here
    ready        a path that a copy answers with 200 once it can take webhooks; None: it can as soon as it listens
    redis        the user's own Redis; None: a Valkey of this world
    api_port     where the simulated API and the provider are for the first copy; 0: at a free port
    verifies     whether the provider's request that makes sure of the webhook's address comes before the first message
    others       how many customers the program may know of worlds before: this one's are none of them
    """

    command: tuple[str, ...]
    copies: int
    webhook: str
    environment: Mapping[str, str]
    logs: Path
    folder: Path | None = None
    ready: str | None = None
    redis: Place | None = None
    api_port: int = 0
    verifies: bool = False
    others: int = 0

    def copy(self, number: int, places: Mapping[str, str], guard: Guard) -> Program | None:
        """The copy with this number, not started; None: it runs already."""
        if not self.command:
            return None
        environment = {name: filled(value, places) for name, value in self.environment.items()}
        command = [filled(part, places) for part in self.command]
        return Program(command, environment, self.logs / f"w{number}.log", guard, self.folder)


def filled(text: str, places: Mapping[str, str]) -> str:
    """A text with addresses in place of their names."""
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text
